//! What the host's log says of a call that went well; nothing of one that had nothing to do.

use crate::proto::{
    AddLearnerResponse, BuiltImage, ClearJournalResponse, ControlUnitResponse,
    CreateCertificateRequestResponse, EnsureResponse, ForgetConsumerResponse, InitialiseCaResponse,
    InstallCertificateResponse, InstallResponse, MemberResponse, Outcome, RemoveBuildResponse,
    RemoveResponse, RenewCertificateResponse, SetDataAsideResponse, SignResponse,
    WriteJournalResponse,
};

pub(crate) trait Recorded {
    /// What came of the call; `None` if nothing changed.
    fn recorded(&self) -> Option<String>;
}

fn word(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::NotNeeded => None,
        Outcome::Added => Some("added".to_owned()),
        Outcome::Updated => Some("updated".to_owned()),
    }
}

macro_rules! by_outcome {
    ($($response:ty),* $(,)?) => {
        $(impl Recorded for $response {
            fn recorded(&self) -> Option<String> {
                word(self.outcome())
            }
        })*
    };
}

by_outcome!(
    InstallResponse,
    ControlUnitResponse,
    InstallCertificateResponse,
    RenewCertificateResponse,
    InitialiseCaResponse,
    ForgetConsumerResponse,
    ClearJournalResponse,
    MemberResponse,
    RemoveBuildResponse,
);

impl Recorded for BuiltImage {
    fn recorded(&self) -> Option<String> {
        let Self {
            output,
            size_bytes,
            sha256,
            ..
        } = self;
        (!self.found).then(|| format!("built {output}, {size_bytes} bytes, SHA-256 {sha256}"))
    }
}

impl Recorded for EnsureResponse {
    fn recorded(&self) -> Option<String> {
        let count = |wanted: Outcome| self.outcomes().filter(|outcome| *outcome == wanted).count();
        let (added, updated) = (count(Outcome::Added), count(Outcome::Updated));
        (added + updated > 0).then(|| format!("{added} added, {updated} updated"))
    }
}

impl Recorded for CreateCertificateRequestResponse {
    fn recorded(&self) -> Option<String> {
        word(self.key())
    }
}

impl Recorded for SignResponse {
    fn recorded(&self) -> Option<String> {
        Some("signed".to_owned())
    }
}

impl Recorded for WriteJournalResponse {
    fn recorded(&self) -> Option<String> {
        Some("written".to_owned())
    }
}

impl Recorded for AddLearnerResponse {
    fn recorded(&self) -> Option<String> {
        Some(format!("learner {:x}", self.member_id))
    }
}

impl Recorded for SetDataAsideResponse {
    fn recorded(&self) -> Option<String> {
        (!self.moved_to.is_empty()).then(|| format!("moved to {}", self.moved_to))
    }
}

impl Recorded for RemoveResponse {
    fn recorded(&self) -> Option<String> {
        let kept = if self.kept.is_empty() {
            String::new()
        } else {
            format!(", kept {}", self.kept.join(" "))
        };
        word(self.outcome()).map(|_| format!("removed{kept}"))
    }
}
