//! The lines of a log that say why a service ended.

use serde_json::Value;

/// Of a log without levels the last lines are shown.
const LAST: usize = 15;

/// Of one with levels the last errors.
const LAST_ERRORS: usize = 4;

/// What a person needs of a log: of etcd's own, which is JSON and tells much while it starts, the errors
/// with their causes; of others the end.
pub(super) fn telling(log: &str) -> String {
    let mut errors: Vec<String> = log.lines().filter_map(error).collect();
    errors.dedup();
    if errors.is_empty() {
        let lines: Vec<&str> = log.lines().collect();
        return lines[lines.len().saturating_sub(LAST)..].join("\n");
    }
    errors[errors.len().saturating_sub(LAST_ERRORS)..].join("\n")
}

/// Message and cause of a line that is an error (zap's levels).
fn error(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    if !matches!(text("level"), "error" | "dpanic" | "panic" | "fatal") {
        return None;
    }
    let parts = [text("msg"), text("error")].map(str::trim);
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Some(parts.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_with_levels_the_errors_are_shown() {
        let log = r#"Starting etcd k8s member 3
{"level":"info","ts":"2026-01-01T00:00:00Z","caller":"a","msg":"starting an etcd server"}
{"level":"panic","ts":"2026-01-01T00:00:00Z","caller":"b","msg":"failed to read WAL","error":"walpb: crc mismatch"}
panic: failed to read WAL
goroutine 1 [running]:
etcd-k8s-3.service: Main process exited, code=exited, status=2/INVALIDARGUMENT
"#;
        assert_eq!(telling(log), "failed to read WAL: walpb: crc mismatch");
        assert_eq!(telling(&log.repeat(3)).lines().count(), 1);
    }

    #[test]
    fn of_another_one_the_end_is_shown() {
        let log: Vec<String> = (0..20).map(|line| format!("line {line}")).collect();
        let shown = telling(&log.join("\n"));
        assert_eq!(shown.lines().next(), Some("line 5"));
        assert_eq!(shown.lines().count(), LAST);
    }
}
