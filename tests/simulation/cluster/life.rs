//! Create, faults, apply after apply: what Core and the provider do, and what must hold meanwhile.

use std::collections::BTreeSet;

use planner::{
    etcd_cluster::{Observed, Plan, Step, check, drift, plan, status},
    facts::{Fact, JournalFact},
    name::NodeKey,
};

use super::{
    apply::{Work, nodes},
    world::{Done, Stop, World, broken, failed},
};

/// Waves that no run needs.
const ENDLESS: usize = 120;

/// Why an apply stops before a disruptive step that its plan did not say.
const CHANGED: &str = "the facts changed since the plan";

/// One life of a cluster.
pub(crate) fn live(world: &mut World) -> Done {
    create(world)?;
    let rounds = 1 + world.random.below(5);
    for _ in 0..rounds {
        if world.random.once_in(2) {
            world.heal();
        }
        for _ in 0..=world.random.below(3) {
            world.fault(true);
            if world.random.once_in(2) {
                world.settle()?;
            }
        }
        if world.random.once_in(3) {
            world.knife = Some(world.random.below(60));
        }
        applied(world, true)?;
        alone(world)?;
    }
    end(world)
}

/// A creation, killed and repeated until it succeeds.
fn create(world: &mut World) -> Done {
    let attempts = 1 + world.random.below(4);
    for attempt in 1..=attempts {
        let is_last = attempt == attempts;
        if is_last {
            world.heal();
        } else {
            for _ in 0..world.random.below(3) {
                world.fault(false);
            }
            world.knife = Some(world.random.below(150));
        }
        world.note(format!("create, attempt {attempt}"));
        let ended = try_create(world, !is_last);
        world.knife = None;
        match ended {
            Ok(()) => return Ok(()),
            Err(Stop::Killed | Stop::Failed(_)) if !is_last => {}
            Err(Stop::Failed(why)) => return broken(format!("the creation fails: {why}")),
            Err(stop) => return Err(stop),
        }
        // The wish is the same creation whatever its settings are.
        if world.random.once_in(3) && world.hosts.len() != 2 {
            world.desired.tuning.snapshot_count = 20_000 + attempt as u64;
        }
    }
    Ok(())
}

fn try_create(world: &mut World, has_faults: bool) -> Done {
    let mut work = Work::default();
    let observed = look(world)?;
    if observed.hosts.values().any(|fact| fact.known().is_none()) {
        return failed("a creation needs every host");
    }
    work.take(observed);
    for key in world.keys() {
        world.act()?;
        let id = world.desired.id.clone();
        world.host(&key).journal = Some(JournalFact {
            id,
            wish: world.desired.wish(),
            by: "somebody".to_owned(),
            ..JournalFact::default()
        });
    }
    let result = run(world, &mut work, None, has_faults, false);
    match result {
        // The cluster exists: it stands in a state, with a warning.
        Err(Stop::Failed(why)) if work.is_bootstrapped() => {
            world.note(format!("created, incomplete: {why}"));
            Ok(())
        }
        other => other,
    }
}

/// Refresh, plan and apply, as Core does them.
fn applied(world: &mut World, has_faults: bool) -> Done {
    let result = try_apply(world, has_faults);
    world.knife = None;
    world.disrupted = None;
    match result {
        Err(Stop::Killed) => Ok(()),
        Err(Stop::Failed(why)) => {
            world.note(format!("the apply fails: {why}"));
            Ok(())
        }
        other => other,
    }
}

fn try_apply(world: &mut World, has_faults: bool) -> Done {
    let mut observed = look(world)?;
    claim(world, &mut observed)?;
    let planned = sound_plan(world, &observed)?;
    let sentences = drift(&world.desired, &observed);
    if planned.steps.is_empty() && sentences.is_empty() {
        return Ok(());
    }
    world.note(format!("apply: {:?}", planned.sentences()));
    let announced: BTreeSet<String> = planned.sentences().into_iter().collect();
    let mut work = Work::default();
    let observed = look(world)?;
    let seen = observed
        .hosts
        .values()
        .filter(|fact| fact.known().is_some());
    if seen.count() * 2 <= observed.hosts.len() {
        return failed("a change needs more than half of the hosts");
    }
    work.take(observed);
    run(world, &mut work, Some(&announced), has_faults, true)
}

/// A look at the hosts, some time after the last.
fn look(world: &mut World) -> Done<Observed> {
    world.settle()?;
    Ok(world.observe())
}

/// Read closes the journal of a creation that stands in a state.
fn claim(world: &mut World, observed: &mut Observed) -> Done {
    for (key, fact) in &mut observed.hosts {
        if let Fact::Known(host) = fact
            && host.journal.take().is_some()
        {
            world.act()?;
            world.host(key).journal = None;
        }
    }
    Ok(())
}

/// The plan, after every rule that can be asked of a plan alone.
fn sound_plan(world: &mut World, observed: &Observed) -> Done<Plan> {
    let made = plan(&world.desired, observed);
    let sentences = drift(&world.desired, observed);
    if world.random.once_in(8) {
        if made != plan(&world.desired, observed) || sentences != drift(&world.desired, observed) {
            return broken("the same facts give two plans");
        }
        if Observed::load(&observed.store()) != Ok(Some(observed.clone())) {
            return broken("private bytes do not come back");
        }
    }
    if let Some(violation) = check(&world.desired, observed, &made).first() {
        return broken(format!("the linter says: {}", violation.0));
    }
    if !sentences.is_sorted() {
        return broken(format!("drift is not sorted: {sentences:?}"));
    }
    if !sentences.is_empty() && made.steps.is_empty() && made.blocked.is_empty() {
        return broken(format!("drift without a step: {sentences:?}"));
    }
    for step in &made.steps {
        let unseen = |key: &NodeKey| observed.host(key).is_none();
        if nodes(step).iter().any(unseen) {
            return broken(format!("{step}: its host was not seen"));
        }
    }
    Ok(made)
}

/// The executor: observe, plan, run a wave, observe again.
fn run(
    world: &mut World,
    work: &mut Work,
    announced: Option<&BTreeSet<String>>,
    has_faults: bool,
    is_made: bool,
) -> Done {
    let mut previous: Vec<Step> = Vec::new();
    for _ in 0..ENDLESS {
        if has_faults && world.random.once_in(12) {
            world.fault(is_made);
        }
        let observed = look(world)?;
        let exists = observed.bootstrapped();
        if announced.is_none()
            && !exists
            && observed.hosts.values().any(|fact| fact.known().is_none())
        {
            return failed("a creation needs every host");
        }
        let serves = world.hosts.keys().any(|key| observed.is_healthy(key));
        if announced.is_some() && !exists && !serves {
            return failed("no host that answers knows this cluster any more");
        }
        let mut planned = sound_plan(world, &observed)?;
        if announced.is_none() {
            planned
                .steps
                .retain(|step| !matches!(step, Step::ClaimCreation { .. }));
        }
        let wave = planned.wave();
        if let Some(step) = unannounced(&wave, announced) {
            return failed(format!("{CHANGED}: {step}"));
        }
        work.take(observed);
        if wave.is_empty() {
            return match planned.blocked.first() {
                None => Ok(()),
                Some(_) => failed(planned.blocked.join("; ")),
            };
        }
        if wave == previous {
            return failed(format!("{} was done and is still wanted", wave[0]));
        }
        for step in &wave {
            world.note(format!("  {step}"));
            watched(world, work, step)?;
        }
        previous = wave;
    }
    broken("the run does not end")
}

fn unannounced<'a>(wave: &'a [Step], announced: Option<&BTreeSet<String>>) -> Option<&'a Step> {
    let announced = announced?;
    wave.iter().find(|step| {
        let follows = matches!(step, Step::MoveLeader { .. } | Step::PromoteLearner { .. });
        step.disrupts() && !follows && !announced.contains(&step.to_string())
    })
}

/// A step, and what must hold before and after it.
fn watched(world: &mut World, work: &mut Work, step: &Step) -> Done {
    let (served, kept) = (world.has_quorum(), world.quorum_of_keepers());
    let result = world.apply(work, step);
    let can_pause = world.hosts.len() < 3 || world.list.len() < 3;
    if served && !world.has_quorum() && !can_pause && step.disrupts() {
        return broken(format!("{step}: clients were cut off"));
    }
    if kept && !world.quorum_of_keepers() {
        return broken(format!("{step}: a quorum with data vanished"));
    }
    if world.random.once_in(2) {
        world.commit();
    }
    result
}

/// One host that cannot be reached is no drift and makes nobody else's trouble.
fn alone(world: &mut World) -> Done {
    let observed = world.observe();
    let is_well = observed.hosts.values().all(|fact| fact.known().is_some())
        && status(&world.desired, &observed) == "ready"
        && drift(&world.desired, &observed).is_empty();
    if !is_well {
        return Ok(());
    }
    let is_settled = plan(&world.desired, &observed).steps.is_empty();
    let keys = world.keys();
    let key = world.random.pick(&keys);
    world.host(&key).is_reachable = false;
    let observed = world.observe();
    world.host(&key).is_reachable = true;
    let sentences = drift(&world.desired, &observed);
    let planned = sound_plan(world, &observed)?;
    if !sentences.is_empty() || (is_settled && !planned.steps.is_empty()) {
        return broken(format!("{key} is away: {sentences:?} {planned:?}"));
    }
    if status(&world.desired, &observed) == "ready" {
        return broken(format!("{key} is away, and all is ready"));
    }
    Ok(())
}

/// When all hosts are there again and nothing more goes wrong, one apply mends everything.
fn end(world: &mut World) -> Done {
    world.note("the end");
    world.heal();
    for _ in 0..8 {
        world.settle()?;
    }
    // Two members can never be restarted: that is said, and a person has to decide.
    let members = world.hosts.len();
    let is_pair = |why: &str| members == 2 && why.contains("cannot spare one");
    let is_left = |blocked: &[String]| blocked.iter().all(|why| is_pair(why));
    let mut ended = try_apply(world, false);
    if let Err(Stop::Failed(why)) = &ended
        && why.starts_with(CHANGED)
    {
        // What nobody could see at the plan cannot have been announced.
        world.note(why.clone());
        ended = try_apply(world, false);
    }
    match ended {
        Err(Stop::Failed(why)) if is_pair(&why) => return Ok(()),
        Err(Stop::Failed(why)) => return broken(format!("the last apply fails: {why}")),
        other => other?,
    }
    let observed = look(world)?;
    let sentences = drift(&world.desired, &observed);
    let planned = sound_plan(world, &observed)?;
    let state = status(&world.desired, &observed);
    let is_done = planned.steps.is_empty() && is_left(&planned.blocked);
    if state != "ready" || !sentences.is_empty() || !is_done {
        return broken(format!("at the end: {state}; {sentences:?}; {planned:?}"));
    }
    let is_pair = !planned.blocked.is_empty();
    if let Some(key) = world
        .keys()
        .iter()
        .find(|key| !is_pair && world.runs_otherwise(key))
    {
        return broken(format!(
            "at the end: {key} runs with other options than it should"
        ));
    }
    alone(world)
}
