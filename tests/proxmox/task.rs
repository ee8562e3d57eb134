//! Tasks: work that goes on after the answer.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{privilege::Subject, upid::Upid};

/// A task that runs or has ended.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) upid: Upid,
    pub(crate) owner: Subject,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: Vec<String>,
    /// `OK`, `WARNINGS: n`, or the error.
    exit: Option<String>,
    end_s: Option<u64>,
    unknown_polls: u32,
    running_polls: u32,
}

impl Task {
    pub(crate) fn new(
        upid: Upid,
        owner: Subject,
        unknown_polls: u32,
        running_polls: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            upid,
            owner,
            inner: Mutex::new(Inner {
                log: Vec::new(),
                exit: None,
                end_s: None,
                unknown_polls,
                running_polls,
            }),
        })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn say(&self, line: impl Into<String>) {
        self.inner().log.push(line.into());
    }

    /// Ends it, with the line that Proxmox writes last.
    pub(crate) fn end(&self, result: Result<String, String>) {
        let mut inner = self.inner();
        let (exit, line) = match result {
            Ok(status) => (status.clone(), format!("TASK {status}")),
            Err(error) => (error.clone(), format!("TASK ERROR: {error}")),
        };
        inner.log.push(line);
        inner.exit = Some(exit);
        inner.end_s = Some(crate::upid::now_s());
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.inner().exit.is_some()
    }

    /// The log; `None` while the task is not known yet. Looking counts.
    pub(crate) fn log(&self) -> Option<Vec<String>> {
        let mut inner = self.inner();
        if inner.unknown_polls > 0 {
            inner.unknown_polls -= 1;
            return None;
        }
        Some(inner.log.clone())
    }

    /// As `…/status` tells it; `None` while the task is not known yet. Looking counts.
    pub(crate) fn status(&self) -> Option<Value> {
        let mut inner = self.inner();
        if inner.unknown_polls > 0 {
            inner.unknown_polls -= 1;
            return None;
        }
        let is_shown_running = inner.running_polls > 0;
        inner.running_polls = inner.running_polls.saturating_sub(1);
        let mut status = self.head();
        match &inner.exit {
            Some(exit) if !is_shown_running => {
                status["status"] = json!("stopped");
                status["exitstatus"] = json!(exit);
            }
            _ => status["status"] = json!("running"),
        }
        Some(status)
    }

    /// As lists of tasks tell it.
    pub(crate) fn listed(&self) -> Value {
        let inner = self.inner();
        let mut listed = self.head();
        if let (Some(exit), Some(end_s)) = (&inner.exit, inner.end_s) {
            listed["status"] = json!(exit);
            listed["endtime"] = json!(end_s);
        }
        listed
    }

    fn head(&self) -> Value {
        let mut head = json!({
            "upid": self.upid.text,
            "node": self.upid.node,
            "pid": self.upid.pid,
            "pstart": self.upid.start,
            "starttime": self.upid.time_s,
            "type": self.upid.kind,
            "id": self.upid.id,
            "user": self.owner.user,
        });
        if let Some(token) = &self.owner.token {
            head["tokenid"] = json!(token);
        }
        head
    }
}

/// A gate before which tasks wait.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl Gate {
    pub(crate) fn set_open(&self, is_open: bool) {
        self.0.send_replace(is_open);
    }

    pub(crate) async fn pass(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as the cluster.
        let _ = seen.wait_for(|is_open| *is_open).await;
    }
}
