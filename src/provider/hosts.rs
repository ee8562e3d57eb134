//! The hosts of one resource: targets, calls, facts side by side.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use host::{
    Client, Node, Target,
    proto::{Failure, ObserveRequest, ObserveResponse, failure::Kind},
};
use planner::{facts::Fact, name::NodeKey, node::NodeWish};
use tf_plugin::{Diagnostic, Diagnostics, Path};

use crate::{context::Context, executor::Retry, facts, facts::Facts, report::Trouble};

/// How long a host may be away in the middle of a change before the change gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a lock of another is waited for.
const LOCK_PATIENCE: Duration = Duration::from_mins(2);

/// The hosts of one resource by node key.
pub(crate) struct Hosts {
    context: Arc<Context>,
    targets: BTreeMap<NodeKey, Target>,
    /// Since when each host fails in a way that may pass.
    failing: Mutex<BTreeMap<NodeKey, Instant>>,
}

impl Hosts {
    /// Works out how to reach each node; what is wrong is reported at its place.
    pub(crate) fn new(
        context: &Arc<Context>,
        wishes: &BTreeMap<String, NodeWish>,
    ) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::new();
        let mut targets = BTreeMap::new();
        for (key, wish) in wishes {
            let Ok(parsed) = NodeKey::parse(key) else {
                continue;
            };
            match context.target(wish) {
                Ok(target) => {
                    targets.insert(parsed, target);
                }
                Err(bad) => diagnostics.push(
                    Diagnostic::error(
                        format!("{} of node \"{key}\" cannot be used", bad.member),
                        bad.why,
                    )
                    .at(Path::attribute("nodes").key(key)),
                ),
            }
        }
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        Ok(Self {
            context: Arc::clone(context),
            targets,
            failing: Mutex::default(),
        })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &NodeKey> {
        self.targets.keys()
    }

    pub(crate) fn target(&self, key: &NodeKey) -> &Target {
        &self.targets[key]
    }

    /// The helper on the host of a node.
    pub(crate) async fn node(&self, key: &NodeKey) -> Result<Node, Trouble> {
        let node = self.context.pool.node(&self.targets[key]).await;
        node.map_err(|source| Trouble::Connect {
            key: key.clone(),
            source: Box::new(source),
        })
    }

    /// One call to the helper on the host of a node.
    pub(crate) async fn call<T, C, F>(
        &self,
        key: &NodeKey,
        name: &'static str,
        call: C,
    ) -> Result<T, Trouble>
    where
        C: FnOnce(Client) -> F,
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let node = self.node(key).await?;
        tracing::debug!(node = %key, host = self.targets[key].host, call = name, "calling");
        let answer = node.call(name, call).await;
        if answer.is_ok() {
            self.failing
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(key);
        }
        answer.map_err(|source| Trouble::Call {
            key: key.clone(),
            source: Box::new(source),
        })
    }

    /// Looks at one host.
    pub(crate) async fn observe(
        &self,
        key: &NodeKey,
        request: ObserveRequest,
    ) -> Result<ObserveResponse, Trouble> {
        self.call(key, "Observe", |mut client| async move {
            client.observe(request).await
        })
        .await
    }

    /// Looks at all hosts side by side. A host that was not seen says why; faults that are no
    /// matter of reachability come back as troubles too.
    pub(crate) async fn observe_all(
        &self,
        owner: &str,
        limit: Duration,
        request: impl Fn(&NodeKey) -> ObserveRequest,
    ) -> (Facts, Vec<Trouble>) {
        let looks = self.keys().map(|key| {
            let request = request(key);
            async move {
                let look = tokio::time::timeout(limit, self.observe(key, request)).await;
                (key.clone(), look)
            }
        });
        let (mut facts, mut troubles) = (Facts::new(), Vec::new());
        for (key, look) in join_all(looks).await {
            let fact = match look {
                Ok(Ok(response)) => Fact::Known(facts::from_response(response, owner)),
                Ok(Err(trouble)) => {
                    let fact = Fact::Unknown(trouble.line());
                    troubles.push(trouble);
                    fact
                }
                Err(_) => Fact::Unknown(format!("it did not answer within {} s", limit.as_secs())),
            };
            facts.insert(key, fact);
        }
        (facts, troubles)
    }

    /// Whether the same call can succeed soon. A host that is away is waited for, but not forever.
    pub(crate) fn retry(&self, trouble: &Trouble) -> Retry {
        let (key, patience, kind) = match trouble {
            Trouble::NotYet(_) => return Retry::NotYet,
            Trouble::Ca { retry, .. } => return *retry,
            Trouble::Download(_) | Trouble::Refused { .. } => return Retry::Permanent,
            Trouble::Connect { source, .. } if !source.is_transient() => return Retry::Permanent,
            Trouble::Connect { key, .. } => (key, PATIENCE, Retry::Transient),
            Trouble::Call { key, source } if source.is_lost() => (key, PATIENCE, Retry::Transient),
            Trouble::Call { key, source } => match source.failure().map(Failure::kind) {
                Some(Kind::Locked) => (key, LOCK_PATIENCE, Retry::Transient),
                Some(Kind::NotYet) => (key, LOCK_PATIENCE, Retry::NotYet),
                Some(Kind::CaUnavailable) => (key, PATIENCE, Retry::Transient),
                _ => return Retry::Permanent,
            },
        };
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failing.entry(key.clone()).or_insert_with(Instant::now);
        if since.elapsed() < patience {
            kind
        } else {
            Retry::Permanent
        }
    }
}
