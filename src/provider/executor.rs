//! Observe, plan, run the next wave, observe again, until nothing is left to do.
//!
//! Decides order, retries, deadlines and cancellation. It knows no resource: what the steps mean,
//! and whether one may be done now, is the planner's, asked again before every wave on fresh facts.

use std::{
    collections::BTreeMap,
    fmt::{Debug, Display},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tracing::{debug, info, warn};

/// What a resource brings to the executor.
#[async_trait]
pub(crate) trait Work: Send + Sync {
    /// One step as data.
    type Step: Clone + PartialEq + Debug + Display + Send + Sync;
    /// Why a step or an observation failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Looks at the hosts and says what is left to do.
    async fn next(&self) -> Result<Next<Self::Step>, Self::Error>;

    /// Does one step.
    async fn apply(&self, step: &Self::Step) -> Result<Ensure, Self::Error>;

    /// Steps with the same lane run one after the other, lanes side by side: the node key, mostly.
    fn lane(&self, step: &Self::Step) -> String;

    /// Whether to try the step again after this error.
    fn retry(&self, error: &Self::Error) -> Retry;

    /// Whether a step may be cut off where it is when the person asks to stop. Else it is brought to its
    /// end, and no other one begins.
    fn may_be_cut(&self, _step: &Self::Step) -> bool {
        false
    }

    /// Where a person sees why a step does not come to its end, if there is such a place.
    fn look(&self, _step: &Self::Step) -> Option<String> {
        None
    }
}

/// What is left to do, by the facts of now.
#[derive(Clone, Debug)]
pub(crate) struct Next<S> {
    /// The steps that may run now; empty when nothing is left or everything waits.
    pub(crate) wave: Vec<S>,
    /// All steps that are left, the wave included: for the account of what was not done.
    pub(crate) left: Vec<S>,
    /// What is waited on, in words.
    pub(crate) blocked: Vec<String>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ensure {
    /// Something is there now that was not.
    Added,
    /// Something is different now.
    Updated,
    /// It was as it should be.
    NotNeeded,
}

/// Whether the same step can succeed without anybody doing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// A connection was cut, a lock is held: try again with growing pauses.
    Transient,
    /// The cluster is on its way: ask again until the deadline.
    NotYet,
    /// Somebody has to do something first.
    Permanent,
}

/// How a run ended when it did not reach its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error<S: Debug + Display, E: std::error::Error + 'static> {
    /// The hosts could not be looked at.
    #[error("looking at what is there failed")]
    Observe(#[source] E),
    /// A step failed for good.
    #[error("{step} failed")]
    Step {
        /// The step.
        step: S,
        /// Why.
        #[source]
        source: E,
        /// What was not done because of it.
        left: Vec<S>,
    },
    /// Everything that is left waits for something.
    #[error("nothing can be done now: {}", .0.join("; "))]
    Blocked(Vec<String>),
    /// The same steps were done again and again, and the facts did not change for good.
    #[error("{0} was done and is still wanted")]
    Stuck(S),
    /// The time that the configuration gives is over.
    #[error("the time of {} s was over before this was done: {}", .timeout.as_secs(), .left)]
    Deadline {
        /// The limit.
        timeout: Duration,
        /// The first step that was not finished.
        left: String,
        /// Where a person sees why.
        look: Option<String>,
    },
    /// The person asked to stop.
    #[error("stopped as asked before: {0}")]
    Cancelled(String),
}

/// Limits of a run.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// From the resource's `timeouts`.
    pub(crate) timeout: Duration,
    /// Turns true when Core asks to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Waves that undo each other come again in turns: one that has changed something so often never ends.
const TURNS: usize = 3;

/// First and longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Runs `work` to its end.
///
/// Returns the steps that changed something, in the order in which they were done.
///
/// # Errors
/// [`Error`]; what was done before it stays done, and the next run goes on from there.
pub(crate) async fn run<W: Work>(
    work: &W,
    limits: Limits,
) -> Result<Vec<W::Step>, Error<W::Step, W::Error>> {
    let started = Instant::now();
    let deadline = started + limits.timeout;
    let mut done = Vec::new();
    let mut previous: Option<Vec<W::Step>> = None;
    let mut turns: Vec<(Vec<W::Step>, usize)> = Vec::new();
    let mut round = 0_usize;
    loop {
        let next = observe(work, deadline, &limits).await?;
        let Some(first) = next.wave.first() else {
            return if next.blocked.is_empty() {
                Ok(done)
            } else {
                Err(Error::Blocked(next.blocked))
            };
        };
        if *limits.stop.borrow() {
            return Err(Error::Cancelled(first.to_string()));
        }
        if Instant::now() >= deadline {
            return Err(Error::Deadline {
                timeout: limits.timeout,
                left: first.to_string(),
                look: work.look(first),
            });
        }
        if previous.as_ref() == Some(&next.wave) {
            return Err(Error::Stuck(first.clone()));
        }
        let changed = wave(work, &next, deadline, &limits, round).await?;
        if !changed.is_empty() && turn(&mut turns, &next.wave) >= TURNS {
            return Err(Error::Stuck(first.clone()));
        }
        done.extend(changed);
        previous = Some(next.wave);
        round += 1;
    }
}

/// How often this wave has changed something by now.
fn turn<S: Clone + PartialEq>(turns: &mut Vec<(Vec<S>, usize)>, wave: &[S]) -> usize {
    if let Some((_, count)) = turns.iter_mut().find(|(known, _)| known == wave) {
        *count += 1;
        return *count;
    }
    turns.push((wave.to_vec(), 1));
    1
}

async fn observe<W: Work>(
    work: &W,
    deadline: Instant,
    limits: &Limits,
) -> Result<Next<W::Step>, Error<W::Step, W::Error>> {
    let mut pause = PAUSES.0;
    loop {
        let error = match work.next().await {
            Ok(next) => return Ok(next),
            Err(error) => error,
        };
        let out_of_time = Instant::now() + pause >= deadline || *limits.stop.borrow();
        if work.retry(&error) == Retry::Permanent || out_of_time {
            return Err(Error::Observe(error));
        }
        rest(&mut pause, limits).await;
    }
}

/// Runs all steps of a wave; the first failure is told after every lane has come to its own end.
async fn wave<W: Work>(
    work: &W,
    next: &Next<W::Step>,
    deadline: Instant,
    limits: &Limits,
    round: usize,
) -> Result<Vec<W::Step>, Error<W::Step, W::Error>> {
    let mut lanes: BTreeMap<String, Vec<&W::Step>> = BTreeMap::new();
    for step in &next.wave {
        lanes.entry(work.lane(step)).or_default().push(step);
    }
    let ended: Mutex<Vec<(W::Step, Ensure)>> = Mutex::default();
    let results = join_all(lanes.into_values().map(|steps| async {
        for step in steps {
            let began = Instant::now();
            let ensure = one(work, step, deadline, limits).await?;
            let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            if ensure == Ensure::NotNeeded {
                debug!(step = %step, step_index = round, elapsed_ms, "step was not needed");
            } else {
                info!(step = %step, step_index = round, elapsed_ms, "step done");
            }
            let mut ended = ended.lock().expect("no holder panics");
            ended.push((step.clone(), ensure));
        }
        Ok(())
    }))
    .await;
    let ended = ended.into_inner().expect("no holder panics");
    if let Err(mut error) = results.into_iter().collect::<Result<(), _>>() {
        if let Error::Step { step, left, .. } = &mut error {
            // Lanes beside the one that failed went on to their own ends.
            let is_done = |other: &W::Step| ended.iter().any(|(step, _)| step == other);
            let rest = next.left.iter();
            left.extend(
                rest.filter(|other| *other != step && !is_done(other))
                    .cloned(),
            );
        }
        return Err(error);
    }
    let changed = ended.into_iter();
    Ok(changed
        .filter(|(_, ensure)| *ensure != Ensure::NotNeeded)
        .map(|(step, _)| step)
        .collect())
}

async fn one<W: Work>(
    work: &W,
    step: &W::Step,
    deadline: Instant,
    limits: &Limits,
) -> Result<Ensure, Error<W::Step, W::Error>> {
    let mut pause = PAUSES.0;
    let mut attempt = 1_u32;
    let mut last = None;
    let failed = |source| Error::Step {
        step: step.clone(),
        source,
        left: Vec::new(),
    };
    loop {
        let applied = tokio::select! {
            applied = timeout_at(deadline, work.apply(step)) => applied,
            () = stopped(limits), if work.may_be_cut(step) => {
                return Err(Error::Cancelled(step.to_string()));
            }
        };
        let error = match applied {
            Ok(Ok(ensure)) => return Ok(ensure),
            Ok(Err(error)) => error,
            Err(_) => {
                // Why it did not come to its end before says more than that it was cut off.
                return Err(last.map_or_else(
                    || Error::Deadline {
                        timeout: limits.timeout,
                        left: step.to_string(),
                        look: work.look(step),
                    },
                    failed,
                ));
            }
        };
        let retry = work.retry(&error);
        if retry == Retry::Permanent {
            return Err(failed(error));
        }
        if *limits.stop.borrow() {
            return Err(Error::Cancelled(step.to_string()));
        }
        if Instant::now() + pause >= deadline {
            warn!(step = %step, attempt, error = %error, "deadline");
            return Err(failed(error));
        }
        debug!(step = %step, attempt, error = %error, "step is tried again");
        last = Some(error);
        attempt += 1;
        rest(&mut pause, limits).await;
        if retry == Retry::NotYet {
            pause = pause.min(Duration::from_millis(200));
        }
    }
}

/// Ends when the person asks to stop.
async fn stopped(limits: &Limits) {
    let mut stop = limits.stop.clone();
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could ask.
        std::future::pending::<()>().await;
    }
}

/// Waits for `pause`, or less if the person asks to stop; the next pause is twice as long.
async fn rest(pause: &mut Duration, limits: &Limits) {
    let mut stop = limits.stop.clone();
    // Both ends are normal: time over, or a wish to stop that the caller looks at.
    let _ = tokio::time::timeout(*pause, stop.wait_for(|stop| *stop)).await;
    *pause = (*pause * 2).min(PAUSES.1);
}

#[cfg(test)]
mod tests;
