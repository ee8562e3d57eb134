//! One connection per host and login, shared by all who work on it.
//!
//! Connects on first use, to many hosts side by side, and once per host however many ask. Notices
//! dead connections and makes new ones; repeats only what can succeed by itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::rand;
use futures::future::join_all;
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch},
    time::{Instant, sleep},
};
use tracing::{debug, info};

use crate::{
    Error, HelperSource, Node, Target,
    launch::{CACHE, Launch, Trust},
    node::Operator,
    resolve::Resolver,
    session::Session,
};

/// Connections that break or are refused are tried so often in all.
const ATTEMPTS: u32 = 3;

/// Shortest pause before the second attempt; doubled before the third, and up to twice as long by
/// chance, so that many connections do not return in step.
const PAUSE: Duration = Duration::from_millis(100);

/// Who was silent for the whole deadline is waited for only so long in the minute after: each look at the
/// hosts of a cluster would wait for the one that is off. One that is back answers the second packet, which
/// is sent a second after the first (RFC 6298, section 2).
const BRIEF: Duration = Duration::from_secs(2);
const REMEMBERED: Duration = Duration::from_mins(1);

/// All connections of the process. Cheap to clone; clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    helpers: HelperSource,
    operator: Operator,
    resolver: Resolver,
    cache: String,
    slots: Mutex<HashMap<Target, Arc<Slot>>>,
    stop: watch::Sender<bool>,
}

/// What is known of one host.
#[derive(Default)]
struct Slot {
    state: AsyncMutex<State>,
    lease: Arc<AsyncMutex<()>>,
}

#[derive(Default)]
struct State {
    node: Option<Node>,
    /// The last failure and when it was known: for those who had asked before.
    failed: Option<(Instant, Error)>,
}

impl State {
    fn was_silent(&self) -> bool {
        self.failed.as_ref().is_some_and(|(when, error)| {
            matches!(error, Error::Timeout { .. }) && when.elapsed() < REMEMBERED
        })
    }
}

/// The right to change a host, among those in this process. Dropping it gives it back.
#[derive(Debug)]
pub struct Lease {
    _guard: OwnedMutexGuard<()>,
}

impl Pool {
    /// `operator` names who works on the hosts ("tofu apply by root@ci, pid 4711"); it is told to
    /// the helpers for their log and locks.
    pub fn new(helpers: HelperSource, operator: &str) -> Self {
        Self::with_cache(helpers, operator, CACHE)
    }

    /// A pool that keeps helpers in another directory on the hosts.
    pub(crate) fn with_cache(helpers: HelperSource, operator: &str, cache: &str) -> Self {
        let inner = Inner {
            helpers,
            operator: Operator::new(operator),
            resolver: Resolver::default(),
            cache: cache.to_owned(),
            slots: Mutex::default(),
            stop: watch::Sender::new(false),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The helper on a host: over the connection that is there, or over a new one.
    pub async fn node(&self, target: &Target) -> Result<Node, Error> {
        let asked = Instant::now();
        let slot = self.slot(target);
        let mut state = slot.state.lock().await;
        if let Some((when, error)) = &state.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        if let Some(node) = &state.node {
            if node.is_alive().await {
                return Ok(node.clone());
            }
            info!(host = target.host, "the connection is dead; making another");
        }
        state.node = None;
        let brief = state.was_silent().then(|| brief(target));
        match self.connect(brief.as_ref().unwrap_or(target)).await {
            Ok(node) => {
                state.failed = None;
                state.node = Some(node.clone());
                Ok(node)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Waits for the right to change the host, to be held for one step. Guards against others in
    /// this process only; the locks of the helper guard against the rest.
    pub async fn lease(&self, target: &Target) -> Lease {
        let slot = self.slot(target);
        Lease {
            _guard: Arc::clone(&slot.lease).lock_owned().await,
        }
    }

    /// Ends what is connecting and refuses new connections. Calls under way are not disturbed.
    pub fn stop(&self) {
        self.inner.stop.send_replace(true);
    }

    /// Ends all connections; their helpers finish the step they are in, and end.
    pub async fn close(&self) {
        let slots: Vec<_> = {
            let mut slots = self
                .inner
                .slots
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            slots.drain().map(|(_, slot)| slot).collect()
        };
        let closing = slots.iter().map(|slot| async {
            if let Some(node) = slot.state.lock().await.node.take() {
                node.close().await;
            }
        });
        join_all(closing).await;
    }

    fn slot(&self, target: &Target) -> Arc<Slot> {
        let mut slots = self
            .inner
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(target.clone()).or_default())
    }

    async fn connect(&self, target: &Target) -> Result<Node, Error> {
        let mut stop = self.inner.stop.subscribe();
        let stopped = || Error::Stopped {
            host: target.host.clone(),
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|is_stopped| *is_stopped) => Err(stopped()),
            node = self.persist(target) => node,
        }
    }

    async fn persist(&self, target: &Target) -> Result<Node, Error> {
        let mut attempt = 1;
        loop {
            match self.attempt(target).await {
                Ok(node) => return Ok(node),
                // Whoever did not answer for the whole deadline will not in the next second.
                Err(error @ Error::Timeout { .. }) => return Err(error),
                Err(error) if attempt < ATTEMPTS && error.is_transient() => {
                    debug!(host = target.host, attempt, error = %error, "trying again");
                    sleep(pause(attempt)).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(&self, target: &Target) -> Result<Node, Error> {
        let began = Instant::now();
        let timing = &target.profile.timing;
        let session = Session::open(target, &self.inner.resolver).await?;
        let logged_in = began.elapsed();
        let mut launch = Launch {
            host: &target.host,
            user: target.user(),
            sudo_password: target.profile.sudo_password.as_ref(),
            helpers: &self.inner.helpers,
            cache: &self.inner.cache,
            trust: Trust::Name,
            limit: timing.start,
        };
        let launched = match launch.start(&session).await {
            Err(Error::Start { refusal, .. }) if refusal.may_be_damage() => {
                debug!(host = target.host, %refusal, "looking at the helper in the cache");
                launch.trust = Trust::Hash;
                launch.start(&session).await?
            }
            started => started?,
        };
        let operator = self.inner.operator.clone();
        let node = Node::new(&target.host, session, launched, timing, operator).await?;
        debug!(
            host = target.host,
            login_ms = logged_in.as_millis(),
            elapsed_ms = began.elapsed().as_millis(),
            "connected"
        );
        Ok(node)
    }
}

/// The same host, with less patience.
fn brief(target: &Target) -> Target {
    let mut target = target.clone();
    let mut profile = (*target.profile).clone();
    profile.timing.connect = profile.timing.connect.min(BRIEF);
    target.profile = Arc::new(profile);
    target
}

fn pause(attempt: u32) -> Duration {
    let mut byte = [0];
    rand::fill(&mut byte).expect("the system has random numbers");
    let least = PAUSE * 2_u32.pow(attempt - 1);
    least + least * u32::from(byte[0]) / 255
}
