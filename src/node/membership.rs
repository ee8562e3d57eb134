//! Membership changes, asked of the local member. Matched by id or exact peer URLs, never by name.

use etcd_client::MemberAddOptions;

use crate::{
    failure::Failed,
    observe::{Client, etcd_failed, etcd_member},
    proto::{
        AddLearnerRequest, AddLearnerResponse, EtcdQuery, MemberRequest, Outcome,
        SetDataAsideRequest, failure::Kind,
    },
    remove, unit,
};

fn query(query: Option<&EtcdQuery>) -> Result<&EtcdQuery, Failed> {
    query.ok_or_else(|| Failed::new(Kind::InvalidRequest, "etcd", "the member is not named"))
}

/// Adds peer URLs as a learner; the same URLs again are the same learner.
pub(crate) async fn add_learner(request: &AddLearnerRequest) -> Result<AddLearnerResponse, Failed> {
    let query = query(request.etcd.as_ref())?;
    let mut client = Client::connect(query).await?.0;
    let failed = |error: etcd_client::Error| etcd_failed(query, &error);
    let list = client.member_list().await.map_err(failed)?;
    let there = list
        .members()
        .iter()
        .find(|member| member.peer_urls() == request.peer_urls);
    if let Some(member) = there {
        let members = list.members().iter().map(etcd_member).collect();
        return Ok(AddLearnerResponse {
            member_id: member.id(),
            members,
        });
    }
    let options = MemberAddOptions::new().with_is_learner();
    let added = client
        .member_add(request.peer_urls.clone(), Some(options))
        .await
        .map_err(failed)?;
    Ok(AddLearnerResponse {
        member_id: added.member().map_or(0, etcd_client::Member::id),
        members: added.member_list().iter().map(etcd_member).collect(),
    })
}

/// Lets a learner vote; one that votes already does.
pub(crate) async fn promote(request: &MemberRequest) -> Result<Outcome, Failed> {
    let query = query(request.etcd.as_ref())?;
    let mut client = Client::connect(query).await?.0;
    let failed = |error: etcd_client::Error| etcd_failed(query, &error);
    let list = client.member_list().await.map_err(failed)?;
    let learner = list
        .members()
        .iter()
        .find(|member| member.id() == request.member_id);
    match learner {
        Some(member) if !member.is_learner() => Ok(Outcome::NotNeeded),
        _ => client
            .member_promote(request.member_id)
            .await
            .map(|_| Outcome::Updated)
            .map_err(failed),
    }
}

/// Takes a member out of the list; one that is not there is gone.
pub(crate) async fn remove_member(request: &MemberRequest) -> Result<Outcome, Failed> {
    let query = query(request.etcd.as_ref())?;
    let mut client = Client::connect(query).await?.0;
    let failed = |error: etcd_client::Error| etcd_failed(query, &error);
    let list = client.member_list().await.map_err(failed)?;
    if !list
        .members()
        .iter()
        .any(|member| member.id() == request.member_id)
    {
        return Ok(Outcome::NotNeeded);
    }
    client
        .member_remove(request.member_id)
        .await
        .map(|_| Outcome::Updated)
        .map_err(failed)
}

/// Hands leadership to a member; must be asked of the leader.
pub(crate) async fn move_leader(request: &MemberRequest) -> Result<Outcome, Failed> {
    let query = query(request.etcd.as_ref())?;
    let mut client = Client::connect(query).await?.0;
    let failed = |error: etcd_client::Error| etcd_failed(query, &error);
    if client.status().await.map_err(failed)?.leader() == request.member_id {
        return Ok(Outcome::NotNeeded);
    }
    client
        .move_leader(request.member_id)
        .await
        .map(|_| Outcome::Updated)
        .map_err(failed)
}

/// Moves a data directory aside; its unit must be down.
pub(crate) fn set_data_aside(request: &SetDataAsideRequest) -> Result<String, Failed> {
    let fact = unit::facts(std::slice::from_ref(&request.unit))?.remove(0);
    if matches!(
        fact.active_state.as_str(),
        "active" | "activating" | "reloading" | "deactivating"
    ) {
        return Err(Failed::new(
            Kind::InvalidRequest,
            &request.unit,
            format!("{} still runs", request.unit),
        ));
    }
    remove::aside(&request.path, request.now_ms)
}
