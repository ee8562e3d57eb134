use std::{collections::VecDeque, fmt, future::pending};

use tokio::sync::Notify;

use super::*;

/// A step by its lane and number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step(&'static str, u32);

impl Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.0, self.1)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it broke")]
struct Broken;

/// Waves one after the other, the last for ever; steps with number 9 fail.
struct Script(Mutex<VecDeque<Vec<Step>>>, Ensure);

#[async_trait]
impl Work for Script {
    type Step = Step;
    type Error = Broken;

    async fn next(&self) -> Result<Next<Step>, Broken> {
        let mut waves = self.0.lock().expect("no holder panics");
        let wave = waves.pop_front().unwrap_or_default();
        let mut left = wave.clone();
        left.extend(waves.iter().flatten());
        Ok(Next {
            wave,
            left,
            blocked: Vec::new(),
        })
    }

    async fn apply(&self, step: &Step) -> Result<Ensure, Broken> {
        if step.1 == 9 { Err(Broken) } else { Ok(self.1) }
    }

    fn lane(&self, step: &Step) -> String {
        step.0.to_owned()
    }

    fn retry(&self, _: &Broken) -> Retry {
        Retry::Permanent
    }
}

async fn run_all(waves: &[&[Step]], ensure: Ensure) -> Result<usize, Error<Step, Broken>> {
    let waves = waves.iter().map(|wave| wave.to_vec()).collect();
    let (_sender, stop) = watch::channel(false);
    let limits = Limits {
        timeout: Duration::from_mins(1),
        stop,
    };
    let done = run(&Script(Mutex::new(waves), ensure), limits).await?;
    Ok(done.len())
}

const A: &[Step] = &[Step("a", 1)];
const B: &[Step] = &[Step("b", 1)];

#[tokio::test]
async fn waves_that_undo_each_other_come_to_an_end() {
    let waves = [A, B, A, B, A, B, A, B];
    let error = run_all(&waves, Ensure::Updated)
        .await
        .expect_err("it goes in circles");
    assert!(matches!(error, Error::Stuck(Step("a", 1))), "{error}");
    let done = run_all(&[A, B, A, B], Ensure::Updated)
        .await
        .expect("it came to an end");
    assert_eq!(done, 4);
    // Looking again and again at what changes nothing is waiting.
    let done = run_all(&waves, Ensure::NotNeeded)
        .await
        .expect("nothing was done");
    assert_eq!(done, 0);
    let error = run_all(&[A, A], Ensure::Updated)
        .await
        .expect_err("it did not help");
    assert!(matches!(error, Error::Stuck(_)), "{error}");
}

#[tokio::test]
async fn what_was_not_done_leaves_out_what_lanes_beside_it_did() {
    let first = [
        Step("a", 1),
        Step("a", 9),
        Step("a", 2),
        Step("b", 1),
        Step("b", 2),
    ];
    let waves = [&first[..], &[Step("c", 1)]];
    let error = run_all(&waves, Ensure::Updated)
        .await
        .expect_err("a9 fails");
    let Error::Step { step, left, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(step, Step("a", 9));
    assert_eq!(left, [Step("a", 2), Step("c", 1)]);
}

/// One step that never ends.
struct Endless {
    may_be_cut: bool,
    began: Notify,
}

#[async_trait]
impl Work for Endless {
    type Step = Step;
    type Error = Broken;

    async fn next(&self) -> Result<Next<Step>, Broken> {
        Ok(Next {
            wave: A.to_vec(),
            left: A.to_vec(),
            blocked: Vec::new(),
        })
    }

    async fn apply(&self, _: &Step) -> Result<Ensure, Broken> {
        self.began.notify_one();
        pending().await
    }

    fn lane(&self, _: &Step) -> String {
        String::new()
    }

    fn retry(&self, _: &Broken) -> Retry {
        Retry::Permanent
    }

    fn may_be_cut(&self, _: &Step) -> bool {
        self.may_be_cut
    }
}

#[tokio::test]
async fn a_step_that_does_not_end_is_cut_at_the_deadline_or_when_asked() {
    for (may_be_cut, timeout_ms) in [(false, 100), (true, 60_000)] {
        let (sender, stop) = watch::channel(false);
        let limits = Limits {
            timeout: Duration::from_millis(timeout_ms),
            stop,
        };
        let work = Endless {
            may_be_cut,
            began: Notify::new(),
        };
        let asked = async {
            work.began.notified().await;
            sender.send(true).expect("the run goes on");
            pending::<()>().await;
        };
        let error = tokio::select! {
            result = run(&work, limits) => result.expect_err("it never ends"),
            () = asked => unreachable!("it waits for ever"),
        };
        let is_right = match error {
            Error::Cancelled(_) => may_be_cut,
            Error::Deadline { .. } => !may_be_cut,
            _ => false,
        };
        assert!(is_right, "{error}");
    }
}
