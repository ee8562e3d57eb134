//! Membership changes, asked of the local member. Matched by id or exact peer URLs, never by name.

use etcd_client::MemberAddOptions;

use crate::{
    failure::Failed,
    ledger::{ItemKind, Ledger},
    observe::{Client, etcd_failed, etcd_member},
    proto::{
        AddLearnerRequest, AddLearnerResponse, EtcdQuery, MemberRequest, Outcome,
        SetDataAsideRequest, failure::Kind,
    },
    remove,
    root::Root,
    unit,
};

/// A connection, and what to say when the member refuses.
async fn connect<'a>(
    root: &Root,
    query: Option<&'a EtcdQuery>,
) -> Result<
    (
        etcd_client::Client,
        impl Fn(etcd_client::Error) -> Failed + use<'a>,
    ),
    Failed,
> {
    let query = query.ok_or_else(|| Failed::invalid("etcd", "the member is not named"))?;
    let client = Client::connect(root, query).await?.0;
    Ok((client, |error: etcd_client::Error| {
        etcd_failed(query, &error)
    }))
}

/// Adds peer URLs as a learner; the same URLs again are the same learner.
pub(crate) async fn add_learner(
    root: &Root,
    request: &AddLearnerRequest,
) -> Result<AddLearnerResponse, Failed> {
    if request.peer_urls.is_empty() {
        return Err(Failed::invalid(
            "peer_urls",
            "a learner comes without peer URLs",
        ));
    }
    let (mut client, failed) = connect(root, request.etcd.as_ref()).await?;
    let list = client.member_list().await.map_err(&failed)?;
    let there = list
        .members()
        .iter()
        .find(|member| is_same(member.peer_urls(), &request.peer_urls));
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
        .map_err(&failed)?;
    let member_id = added.member().map(etcd_client::Member::id).ok_or_else(|| {
        Failed::new(
            Kind::Etcd,
            "member add",
            "etcd added a member without saying which",
        )
    })?;
    Ok(AddLearnerResponse {
        member_id,
        members: added.member_list().iter().map(etcd_member).collect(),
    })
}

/// Whether two lists hold the same URLs.
fn is_same(left: &[String], right: &[String]) -> bool {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list.dedup();
        list
    };
    sorted(left) == sorted(right)
}

/// Lets a learner vote; one that votes already does.
pub(crate) async fn promote(root: &Root, request: &MemberRequest) -> Result<Outcome, Failed> {
    let (mut client, failed) = connect(root, request.etcd.as_ref()).await?;
    let list = client.member_list().await.map_err(&failed)?;
    let votes = list
        .members()
        .iter()
        .any(|member| member.id() == request.member_id && !member.is_learner());
    if votes {
        return Ok(Outcome::NotNeeded);
    }
    client
        .member_promote(request.member_id)
        .await
        .map_err(&failed)?;
    Ok(Outcome::Updated)
}

/// Takes a member out of the list; one that is not there is gone.
pub(crate) async fn remove_member(root: &Root, request: &MemberRequest) -> Result<Outcome, Failed> {
    let (mut client, failed) = connect(root, request.etcd.as_ref()).await?;
    match client
        .member_remove(request.member_id)
        .await
        .map_err(&failed)
    {
        Ok(_) => Ok(Outcome::Updated),
        // Asked of etcd itself: the list of one member may be old.
        Err(failed) if failed.0.message.contains("member not found") => Ok(Outcome::NotNeeded),
        Err(failed) => Err(failed),
    }
}

/// Hands leadership to a member; must be asked of the leader.
pub(crate) async fn move_leader(root: &Root, request: &MemberRequest) -> Result<Outcome, Failed> {
    let (mut client, failed) = connect(root, request.etcd.as_ref()).await?;
    if client.status().await.map_err(&failed)?.leader() == request.member_id {
        return Ok(Outcome::NotNeeded);
    }
    client
        .move_leader(request.member_id)
        .await
        .map_err(&failed)?;
    Ok(Outcome::Updated)
}

/// Moves a data directory of the owner aside; its unit must be down. Answers where to; nothing if
/// there is nothing to move.
pub(crate) fn set_data_aside(root: &Root, request: &SetDataAsideRequest) -> Result<String, Failed> {
    let SetDataAsideRequest {
        owner,
        path,
        unit,
        now_ms,
    } = request;
    let ledger = Ledger::load(root)?;
    let item = ledger
        .owners
        .get(owner)
        .and_then(|entry| entry.items.get(path));
    let Some(item) = item.filter(|item| item.kind == ItemKind::Data) else {
        return Err(Failed::new(
            Kind::Foreign,
            path,
            format!("{path} is not a data directory that was made for {owner}"),
        ));
    };
    unit::check_owner(&ledger, owner, unit)?;
    let fact = unit::facts(std::slice::from_ref(unit))?.remove(0);
    if unit::is_up(&fact) {
        return Err(Failed::invalid(
            unit,
            format!("{unit} is {}, not stopped", fact.active_state),
        ));
    }
    Ok(remove::set_aside(root, path, item.made, *now_ms)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_urls_are_the_same_in_any_order_and_only_whole() {
        let urls = |list: &[&str]| list.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let both = urls(&["https://10.0.0.1:2380", "https://[fd00::1]:2380"]);
        assert!(is_same(
            &both,
            &urls(&["https://[fd00::1]:2380", "https://10.0.0.1:2380"])
        ));
        assert!(!is_same(&both, &urls(&["https://10.0.0.1:2380"])));
        assert!(!is_same(
            &urls(&["https://10.0.0.1:2380"]),
            &urls(&["https://10.0.0.10:2380"])
        ));
    }
}
