//! Tasks: Proxmox answers most changes with the name of a task, and tells how it went only there.

use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::{Client, Error, Kind, Upid, call::Call, refusal};

/// Lines of a task's log that an error shows.
const LOG_LINES: u64 = 15;

/// How often in a row a running task may fail to be asked for, each time after all the attempts of
/// a reading call: a node that restarts its API daemon takes some seconds.
const BLIND_POLLS: u32 = 5;

/// A task that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its name.
    pub upid: Upid,
    /// The end of its log if it ended with warnings.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
    exitstatus: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    t: String,
}

#[derive(Deserialize)]
struct Listed {
    upid: Upid,
    #[serde(rename = "type")]
    kind: String,
    endtime: Option<serde_json::Value>,
}

impl Client {
    /// Waits until the task has ended. Dropping the future stops the waiting, not the task.
    ///
    /// # Errors
    /// [`Kind::Task`] with the end of the log, or what that log is known to mean;
    /// [`Kind::Deadline`]; [`Kind::NotFound`] if Proxmox lost the task.
    pub async fn follow(&self, upid: &Upid, deadline: Instant) -> Result<Finished, Error> {
        self.follow_with(upid, deadline, |_| {}).await
    }

    /// The same; `percent` hears how far a download by the node is.
    pub(crate) async fn follow_with(
        &self,
        upid: &Upid,
        deadline: Instant,
        percent: impl Fn(u8) + Send,
    ) -> Result<Finished, Error> {
        let waiting = self.poll(upid, percent);
        timeout_at(deadline, waiting).await.unwrap_or_else(|_| {
            let kind = Kind::Deadline {
                waiting_for: format!("task {upid}"),
            };
            Err(self.error(doing(upid), Some(upid.node()), kind))
        })
    }

    async fn poll(&self, upid: &Upid, percent: impl Fn(u8) + Send) -> Result<Finished, Error> {
        let pace = self.settings().pace;
        let failed = |kind| self.error(doing(upid), Some(upid.node()), kind);
        let mut delays = pace.delays();
        let mut unknown = 0;
        let mut blind = 0;
        loop {
            match self.task_status(upid).await {
                Ok(status) if status.status != "running" => {
                    return self.ended(upid, status.exitstatus).await;
                }
                Ok(_) => {
                    blind = 0;
                    if upid.kind() == "download"
                        && let Some(value) = self.task_percent(upid).await
                    {
                        percent(value);
                    }
                }
                Err(error) => match error.kind() {
                    // The log file of a task appears a moment after its name was given out.
                    Kind::Parameter { fields, .. }
                        if refusal::is_unknown_task(fields)
                            && unknown < pace.unknown_task_polls =>
                    {
                        unknown += 1;
                    }
                    Kind::Parameter { fields, .. } if refusal::is_unknown_task(fields) => {
                        let said = format!("the node does not know the task {upid}");
                        return Err(failed(Kind::NotFound { said }));
                    }
                    _ if error.is_transient() && blind < BLIND_POLLS => {
                        blind += 1;
                        debug!(upid = %upid, error = %error.kind(), "task cannot be looked at");
                    }
                    _ => return Err(error),
                },
            }
            delays.wait().await;
        }
    }

    async fn task_status(&self, upid: &Upid) -> Result<Status, Error> {
        let call = Call::get(
            doing(upid),
            &["nodes", upid.node(), "tasks", upid.as_str(), "status"],
        )
        .of_node(upid.node());
        self.read(&call)
            .await?
            .read()
            .map_err(|kind| self.error(call.doing, Some(upid.node()), kind))
    }

    async fn ended(&self, upid: &Upid, exit: Option<String>) -> Result<Finished, Error> {
        let status = exit.unwrap_or_else(|| "no exit status".to_owned());
        if status == "OK" {
            return Ok(Finished {
                upid: upid.clone(),
                warnings: Vec::new(),
            });
        }
        let log = match self.task_log_end(upid, LOG_LINES).await {
            Ok(log) => log,
            Err(error) => vec![format!("(its log cannot be read: {})", error.kind())],
        };
        if status.starts_with("WARNINGS:") {
            return Ok(Finished {
                upid: upid.clone(),
                warnings: log,
            });
        }
        let kind = Kind::Task {
            upid: upid.clone(),
            status,
            log,
        };
        Err(self.error(doing(upid), Some(upid.node()), kind))
    }

    /// The last lines of a task's log.
    pub(crate) async fn task_log_end(&self, upid: &Upid, lines: u64) -> Result<Vec<String>, Error> {
        // The number of lines comes with any part of the log; without a start, one gets the first.
        let (_, total) = self.task_log(upid, 0, 1).await?;
        let start = total.unwrap_or(0).saturating_sub(lines);
        let (log, _) = self.task_log(upid, start, lines).await?;
        Ok(log)
    }

    async fn task_log(
        &self,
        upid: &Upid,
        start: u64,
        limit: u64,
    ) -> Result<(Vec<String>, Option<u64>), Error> {
        let call = Call::get(
            format!("read the log of task {upid}"),
            &["nodes", upid.node(), "tasks", upid.as_str(), "log"],
        )
        .of_node(upid.node())
        .query(&[("start", &start.to_string()), ("limit", &limit.to_string())]);
        let answer = self.read(&call).await?;
        let total = answer.total;
        let lines: Vec<Line> = answer
            .read()
            .map_err(|kind| self.error(call.doing, Some(upid.node()), kind))?;
        Ok((lines.into_iter().map(|line| line.t).collect(), total))
    }

    async fn task_percent(&self, upid: &Upid) -> Option<u8> {
        let log = self.task_log_end(upid, 2).await.ok()?;
        log.iter().rev().find_map(|line| percent_of(line))
    }

    /// Tasks of this kind that the login may see and that still run, on any node.
    pub(crate) async fn running_tasks(&self, kind: &str) -> Result<Vec<Upid>, Error> {
        let call = Call::get("list the tasks", &["cluster", "tasks"]);
        let tasks: Vec<Listed> = self
            .read(&call)
            .await?
            .read()
            .map_err(|kind| self.error(call.doing, None, kind))?;
        Ok(tasks
            .into_iter()
            .filter(|task| task.kind == kind && task.endtime.is_none())
            .map(|task| task.upid)
            .collect())
    }
}

fn doing(upid: &Upid) -> String {
    format!("follow task {upid}")
}

/// The percentage in a line of wget's dots: `  32768K ........ ........  12%  110M 3s`.
fn percent_of(line: &str) -> Option<u8> {
    line.split_whitespace()
        .find_map(|word| word.strip_suffix('%')?.parse().ok())
        .filter(|value| *value <= 100)
}

#[cfg(test)]
mod tests {
    use super::percent_of;

    #[test]
    fn a_download_tells_how_far_it_is() {
        let line = " 32768K ........ ........ ........ ........  12%  110M 3s";
        assert_eq!(percent_of(line), Some(12));
        assert_eq!(percent_of("Length: 1048576 (1.0M)"), None);
        assert_eq!(percent_of("999%"), None);
    }
}
