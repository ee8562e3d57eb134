//! Who logs in: an API token on every request, or a ticket that is renewed.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{Credentials, Kind, Secret, Setting};

/// A ticket lives for two hours (`pveum.adoc`); nothing that is begun within this time meets its end.
const TICKET_AGE: Duration = Duration::from_mins(90);

const CSRF: HeaderName = HeaderName::from_static("csrfpreventiontoken");

/// What authenticates a request.
#[derive(Clone, Debug)]
pub(crate) enum Pass {
    /// Never changes.
    Token(HeaderValue),
    /// One of many: `serial` tells which.
    Ticket {
        serial: u64,
        cookie: HeaderValue,
        csrf: HeaderValue,
    },
}

impl Pass {
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Token(value) => {
                headers.insert(AUTHORIZATION, value.clone());
            }
            Self::Ticket { cookie, csrf, .. } => {
                headers.insert(COOKIE, cookie.clone());
                headers.insert(CSRF, csrf.clone());
            }
        }
        headers
    }

    /// Whether it is the very same one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        serial(self) == serial(other)
    }

    /// Whether a new one can be had when this one is refused.
    pub(crate) fn is_renewable(&self) -> bool {
        matches!(self, Self::Ticket { .. })
    }
}

/// Answer of `POST /access/ticket`.
#[derive(Deserialize)]
pub(crate) struct TicketAnswer {
    ticket: String,
    #[serde(rename = "CSRFPreventionToken")]
    csrf: Option<String>,
    #[serde(rename = "NeedTFA", default)]
    needs_second_factor: u8,
}

/// Credentials and the ticket that was obtained with them.
#[derive(Debug)]
pub(crate) struct Login {
    credentials: Credentials,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    serial: u64,
    pass: Option<(Pass, Instant)>,
}

impl Login {
    pub(crate) fn new(credentials: Credentials) -> Result<Self, Kind> {
        if let Credentials::Token(token) = &credentials {
            check_token(token)?;
        }
        Ok(Self {
            credentials,
            held: Mutex::default(),
        })
    }

    /// A pass other than `refused`. `obtain` asks for a ticket with user and password; all who need
    /// one at the same time wait for one call.
    pub(crate) async fn pass<F, E>(
        &self,
        refused: Option<&Pass>,
        obtain: impl FnOnce(String) -> F,
    ) -> Result<Pass, E>
    where
        F: Future<Output = Result<TicketAnswer, E>>,
        E: From<Kind>,
    {
        let (user, password) = match &self.credentials {
            Credentials::Token(token) => {
                let text = format!("PVEAPIToken={}", token.expose());
                return Ok(Pass::Token(sensitive(&text)?));
            }
            Credentials::UserPassword { user, password } => (user, password),
        };
        let mut held = self.held.lock().await;
        let refused = refused.and_then(serial);
        if let Some((pass, obtained)) = &held.pass
            && obtained.elapsed() < TICKET_AGE
            && serial(pass) != refused
        {
            return Ok(pass.clone());
        }
        let form = crate::encode::form(&[("username", user), ("password", password.expose())]);
        let answer = obtain(form).await?;
        if answer.needs_second_factor != 0 {
            return Err(Kind::SecondFactor.into());
        }
        held.serial += 1;
        let ticket = Secret::new(crate::encode::percent(&answer.ticket));
        let pass = Pass::Ticket {
            serial: held.serial,
            cookie: sensitive(&format!("PVEAuthCookie={}", ticket.expose()))?,
            csrf: sensitive(answer.csrf.as_deref().unwrap_or(""))?,
        };
        held.pass = Some((pass.clone(), Instant::now()));
        Ok(pass)
    }
}

fn serial(pass: &Pass) -> Option<u64> {
    match pass {
        Pass::Token(_) => None,
        Pass::Ticket { serial, .. } => Some(*serial),
    }
}

fn check_token(token: &Secret) -> Result<(), Kind> {
    let text = token.expose();
    let shaped = text.split_once('=').is_some_and(|(id, value)| {
        !value.is_empty()
            && id
                .split_once('!')
                .is_some_and(|(user, name)| user.contains('@') && !name.is_empty())
    });
    if shaped {
        Ok(())
    } else {
        Err(Kind::Settings {
            setting: Setting::Credentials,
            said: "an API token has the form USER@REALM!TOKENID=UUID".to_owned(),
        })
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, Kind> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Kind::Settings {
        setting: Setting::Credentials,
        said: "the credentials hold characters that no header can hold".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_another_shape_is_refused_and_not_shown() {
        for text in [
            "",
            "secret",
            "root@pam=uuid",
            "root!ci=uuid",
            "root@pam!ci=",
        ] {
            let token = Credentials::Token(Secret::new(text.to_owned()));
            let error = Login::new(token).expect_err("no token").to_string();
            assert_eq!(error, "an API token has the form USER@REALM!TOKENID=UUID");
        }
    }

    #[test]
    fn a_header_does_not_show_what_it_holds() {
        let pass = Pass::Token(sensitive("PVEAPIToken=hunter2").expect("a header"));
        assert!(!format!("{pass:?} {:?}", pass.headers()).contains("hunter2"));
    }
}
