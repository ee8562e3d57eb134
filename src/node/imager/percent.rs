//! How far a pull or a build is, as far as its output tells.

use std::collections::BTreeSet;

/// What the lines so far say.
///
/// docker without a terminal prints for each layer `<id>: Pulling fs layer`, and later `Pull
/// complete` or at once `Already exists` (`pkg/jsonmessage` of moby). podman names layers when it
/// begins them and says nothing more. Some builders print `NN%` themselves.
#[derive(Debug, Default)]
pub(super) struct Percent {
    layers: BTreeSet<String>,
    done: BTreeSet<String>,
    last: Option<u32>,
}

impl Percent {
    /// The new value, if `line` changes it.
    pub(super) fn see(&mut self, line: &str) -> Option<u32> {
        let now = self.of_layers(line).or_else(|| printed(line))?;
        (self.last != Some(now)).then(|| {
            self.last = Some(now);
            now
        })
    }

    fn of_layers(&mut self, line: &str) -> Option<u32> {
        let (layer, state) = line.split_once(": ")?;
        let is_layer = layer.len() == 12 && layer.chars().all(|digit| digit.is_ascii_hexdigit());
        if !is_layer {
            return None;
        }
        self.layers.insert(layer.to_owned());
        if matches!(state, "Pull complete" | "Already exists") {
            self.done.insert(layer.to_owned());
        }
        let percent = self.done.len() * 100 / self.layers.len();
        // Layers are announced one by one: the first would be all of them.
        let is_known = !self.done.is_empty() && (self.layers.len() > 1 || self.last.is_some());
        is_known.then_some(u32::try_from(percent).unwrap_or(100))
    }
}

/// A number before a percent sign.
fn printed(line: &str) -> Option<u32> {
    let (before, _) = line.split_once('%')?;
    let before = before.trim_end();
    let number = before
        .rsplit(|character: char| !character.is_ascii_digit() && character != '.')
        .next()?;
    let whole = number.split('.').next()?.parse::<u32>().ok()?;
    (whole <= 100).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_a_pull_are_counted() {
        let mut percent = Percent::default();
        let said: Vec<_> = [
            "v1.11.5: Pulling from siderolabs/imager",
            "aaaaaaaaaaaa: Pulling fs layer",
            "bbbbbbbbbbbb: Pulling fs layer",
            "cccccccccccc: Already exists",
            "aaaaaaaaaaaa: Download complete",
            "aaaaaaaaaaaa: Pull complete",
            "bbbbbbbbbbbb: Pull complete",
            "Digest: sha256:0123",
        ]
        .iter()
        .filter_map(|line| percent.see(line))
        .collect();
        assert_eq!(said, [33, 66, 100]);
    }

    #[test]
    fn a_number_with_a_percent_sign_is_one() {
        let mut percent = Percent::default();
        let said: Vec<_> = [
            "writing 10.5 %",
            "writing 10.9%",
            "99% done",
            "1234%",
            "a % b",
        ]
        .iter()
        .filter_map(|line| percent.see(line))
        .collect();
        assert_eq!(said, [10, 99]);
    }
}
