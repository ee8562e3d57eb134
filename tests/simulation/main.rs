//! Random lives of clusters and CAs, on models of hosts: what the planner says is done there, while
//! hosts vanish, people edit, applies are killed. At every step the plan linter is asked and the
//! rules of safety hold; at the end one apply mends everything.
//!
//! `SIMULATION_SEED=n` lives one life again, `SIMULATION_LIVES=n` that many.

mod cluster;
mod random;

use std::{num::NonZero, str::FromStr, thread};

fn number<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Lives `lives` lives side by side; the first that breaks a rule is told.
fn all(lives: u64, live: fn(u64) -> Result<(), String>) {
    if let Some(seed) = number("SIMULATION_SEED") {
        live(seed).unwrap_or_else(|why| panic!("{why}"));
        return;
    }
    let lives = number("SIMULATION_LIVES").unwrap_or(lives);
    let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let found = thread::scope(|scope| {
        let lanes: Vec<_> = (0..threads)
            .map(|lane| {
                let seeds = (lane..lives).step_by(usize::try_from(threads).unwrap_or(1));
                scope.spawn(move || seeds.map(live).find_map(Result::err))
            })
            .collect();
        let ended = lanes
            .into_iter()
            .filter_map(|lane| lane.join().expect("a life breaks rules without a panic"));
        ended.collect::<Vec<_>>()
    });
    if let Some(why) = found.first() {
        panic!("SIMULATION_SEED repeats it: {why}");
    }
}

#[test]
fn a_cluster_survives_whatever_happens() {
    all(1500, cluster::live);
}
