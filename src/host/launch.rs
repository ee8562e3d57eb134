//! Starting the helper on a host over one channel, sending it first where it is not there.
//!
//! Waits for the helper's first line; what comes after it belongs to the caller. Nothing is sent
//! before the other side has asked for it by a line with our nonce, so neither password nor program
//! can end up in a login script.

use std::time::Duration;

use aws_lc_rs::rand;
use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use crate::{
    Error, Secret,
    helper::{Architecture, HelperSource},
    pipe::{Pipe, Watch},
    refusal::{End, Refusal},
    session::Session,
    text::{self, Tail},
};

/// Banner that is skipped before the helper's first line.
const MAX_BANNER_BYTES: usize = 64 << 10;

/// The helper is sent in pieces of this size; each has a deadline of its own.
const PIECE_BYTES: usize = 256 << 10;

/// Where helpers are kept on a host.
pub(crate) const CACHE: &str = "/opt/etcd-node/cache";

/// Starts the helper whose hash fits the machine, after taking it from stdin if it is not there.
///
/// One line without single quotes, exclamation marks and backslashes, so that sh, bash, zsh, dash,
/// csh and fish hand it to `sh -c` as it is. Arguments: nonce, cache directory, how far the file in
/// the cache is trusted ([`Trust`]), then for each architecture of [`Architecture::ALL`] the hash of
/// its helper or a dash. `cat` could not tell the
/// end of the program, so `head -c` takes as many bytes as a line before them says. The file is
/// flushed before its name appears: after a power failure it must be whole or absent.
const SCRIPT: &str = concat!(
    r#"umask 022; k=$1; c=$2; m=$(uname -m) || exit 126; h=-; "#,
    r#"case $m in x86_64) h=$4;; aarch64) h=$5;; esac; "#,
    r#"if [ $h = - ]; then echo ETCD-NODE-NONE $k $m; exit 0; fi; "#,
    r#"d=$c/$h; f=$d/etcd-node; "#,
    r#"if [ $3 = hash ]; then s=$(sha256sum $f 2>/dev/null); [ x${s%% *} = x$h ] && chmod 0755 $f || rm -f $f; fi; "#,
    r#"if [ -s $f ]; then exec $f serve $k; fi; "#,
    r#"for p in head gzip sha256sum mkdir chmod mv rm; do command -v $p >/dev/null 2>&1 || { echo ETCD-NODE-FAIL-TOOL $p >&2; exit 3; }; done; "#,
    r#"t=$c/.new-$k; mkdir -p $d && : >$t || exit 4; "#,
    r#"trap "rm -f $t" EXIT; trap "exit 9" HUP INT TERM PIPE; "#,
    r#"echo ETCD-NODE-NEED $k $m; read -r n || exit 5; "#,
    r#"head -c $n | gzip -dc >$t || exit 6; "#,
    r#"s=$(sha256sum $t); if [ ${s%% *} = $h ]; then :; else echo ETCD-NODE-FAIL-SUM >&2; exit 7; fi; "#,
    r#"chmod 0755 $t && { sync $t 2>/dev/null || sync; } && mv -f $t $f || exit 8; trap - EXIT HUP INT TERM PIPE; "#,
    r#"if command -v restorecon >/dev/null 2>&1; then restorecon -R $d >/dev/null 2>&1; fi; "#,
    r#"u=$(readlink -f $c/../current 2>/dev/null); i=0; "#,
    r#"for x in $(ls -1t $c); do if [ ${#x} -eq 64 ]; then i=$((i+1)); if [ $i -gt 3 ]; then "#,
    r#"case $u/ in $c/$x/*) ;; *) rm -rf $c/$x;; esac; fi; fi; done; "#,
    r#"find $c -maxdepth 1 -name ".new-*" -mmin +60 -exec rm -f {} + 2>/dev/null; "#,
    r#"exec $f serve $k"#,
);

/// How far the helper in a host's cache is trusted. It was hashed before it got its name, and to hash
/// it at every start would take longer than the start itself (45 ms of 60).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is started as it lies there.
    Name,
    /// Only with the right bytes; else it is sent again. For one that did not start: a file system that
    /// was repaired, or a hand, may have changed it.
    Hash,
}

/// Who starts it and how.
pub(crate) struct Launch<'a> {
    pub(crate) host: &'a str,
    pub(crate) user: &'a str,
    pub(crate) sudo_password: Option<&'a Secret>,
    pub(crate) helpers: &'a HelperSource,
    pub(crate) cache: &'a str,
    pub(crate) trust: Trust,
    /// For the first line, and for each piece of the program.
    pub(crate) limit: Duration,
}

/// A helper that speaks.
pub(crate) struct Launched {
    pub(crate) pipe: Pipe,
    pub(crate) watch: Watch,
    pub(crate) version: String,
}

/// What was heard so far.
struct Heard {
    /// Output that is not in a complete line yet.
    pending: Vec<u8>,
    banner_bytes: usize,
    output: Tail,
    errors: Tail,
    /// Both streams, for the recognition; bounded like the banner.
    all: String,
    gave_password: bool,
    /// What sudo asks with; not shown, it would only puzzle.
    prompt: String,
}

/// A line for us.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Ready { version: String },
    Need { machine: String },
    None { machine: String },
}

impl Launch<'_> {
    /// Starts the helper over a new channel of `session`.
    pub(crate) async fn start(&self, session: &Session) -> Result<Launched, Error> {
        let nonce = nonce();
        let cut = |_| self.cut("starting the helper");
        let channel = session
            .handle
            .channel_open_session()
            .await
            .map_err(|error| match error {
                russh::Error::ChannelOpenFailure(_) => {
                    self.refused(Refusal::ExecRefused, String::new())
                }
                _ => self.cut("opening a channel"),
            })?;
        let prompt = format!("etcd-node-{nonce}-password:");
        channel
            .exec(true, self.command(&nonce, &prompt))
            .await
            .map_err(cut)?;
        let (mut read, write) = channel.split();
        let mut heard = Heard {
            pending: Vec::new(),
            banner_bytes: 0,
            output: Tail::default(),
            errors: Tail::default(),
            all: String::new(),
            gave_password: false,
            prompt,
        };
        let mut end = None;
        let mut deadline = Instant::now() + self.limit;
        loop {
            let Ok(message) = timeout_at(deadline, read.wait()).await else {
                return Err(self.judge_silence(&heard));
            };
            match message {
                Some(ChannelMsg::Failure) => {
                    return Err(self.refused(Refusal::ExecRefused, heard.shown(self)));
                }
                Some(ChannelMsg::Data { data }) => {
                    heard.pending.extend_from_slice(&data);
                    while let Some(line) = heard.line(&nonce) {
                        match line {
                            Line::Ready { version } => {
                                let first = Bytes::from(std::mem::take(&mut heard.pending));
                                debug!(host = self.host, version, "the helper serves");
                                let (pipe, watch) = Pipe::new(first, heard.errors, read, write);
                                return Ok(Launched {
                                    pipe,
                                    watch,
                                    version,
                                });
                            }
                            Line::None { machine } => return Err(self.no_helper(machine)),
                            Line::Need { machine } => {
                                self.send(&machine, &mut read, &write, &mut heard).await?;
                                deadline = Instant::now() + self.limit;
                            }
                        }
                    }
                    if heard.banner_bytes + heard.pending.len() > MAX_BANNER_BYTES {
                        return Err(self.refused(Refusal::Chatty, heard.shown(self)));
                    }
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    heard.hear_error(&data);
                    self.answer_prompt(&write, &mut heard).await?;
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => end = Some(End::Exit(exit_status)),
                Some(ChannelMsg::ExitSignal { .. }) => end = Some(End::Signal),
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        match end {
            Some(end) => Err(self.refused(heard.recognise(end, self.user), heard.shown(self))),
            None if session.handle.is_closed() => Err(self.cut("starting the helper")),
            None => Err(self.refused(heard.recognise(End::Closed, self.user), heard.shown(self))),
        }
    }

    /// The command line. `env` sets the language in every kind of login shell.
    fn command(&self, nonce: &str, prompt: &str) -> String {
        let sudo = match (self.user, self.sudo_password) {
            ("root", _) => String::new(),
            (_, None) => "sudo -n -- ".to_owned(),
            // -k: a password that is remembered would leave ours for whoever reads next.
            (_, Some(_)) => format!("sudo -S -k -p {prompt} -- "),
        };
        let mut command = format!(
            "env LC_ALL=C {sudo}sh -c '{SCRIPT}' etcd-node {nonce} {} {}",
            self.cache,
            match self.trust {
                Trust::Name => "name",
                Trust::Hash => "hash",
            },
        );
        for architecture in Architecture::ALL {
            command.push(' ');
            command.push_str(
                self.helpers
                    .get(architecture)
                    .map_or("-", |helper| helper.sha256()),
            );
        }
        command
    }

    /// Gives sudo the password when it asks; asked again, it was wrong.
    async fn answer_prompt(
        &self,
        write: &ChannelWriteHalf<Msg>,
        heard: &mut Heard,
    ) -> Result<(), Error> {
        let Some(password) = self.sudo_password else {
            return Ok(());
        };
        match heard.all.matches(&heard.prompt).count() {
            0 => Ok(()),
            1 if heard.gave_password => Ok(()),
            1 => {
                heard.gave_password = true;
                let line = Bytes::from(format!("{}\n", password.expose()));
                write
                    .data_bytes(line)
                    .await
                    .map_err(|_| self.cut("giving sudo the password"))
            }
            _ => Err(self.refused(Refusal::SudoPasswordWrong, heard.shown(self))),
        }
    }

    /// Sends the helper for `machine`: a line with its size, then its bytes.
    async fn send(
        &self,
        machine: &str,
        read: &mut ChannelReadHalf,
        write: &ChannelWriteHalf<Msg>,
        heard: &mut Heard,
    ) -> Result<(), Error> {
        let helper = Architecture::from_machine(machine)
            .and_then(|architecture| self.helpers.get(architecture))
            .ok_or_else(|| self.no_helper(machine.to_owned()))?;
        let gzip = helper.gzip();
        info!(
            host = self.host,
            sha256 = helper.sha256(),
            size_bytes = gzip.len(),
            "sending the helper"
        );
        let mut pieces = vec![Bytes::from(format!("{}\n", gzip.len()))];
        pieces.extend(
            (0..gzip.len())
                .step_by(PIECE_BYTES)
                .map(|start| gzip.slice(start..gzip.len().min(start + PIECE_BYTES))),
        );
        for piece in pieces {
            let deadline = Instant::now() + self.limit;
            let sending = write.data_bytes(piece);
            tokio::pin!(sending);
            // What the other side says meanwhile (no space left, then its end) must be heard: a
            // window that never opens again would hold the sending up until the deadline.
            loop {
                tokio::select! {
                    sent = &mut sending => {
                        sent.map_err(|_| self.cut("sending the helper"))?;
                        break;
                    }
                    message = timeout_at(deadline, read.wait()) => {
                        let Ok(message) = message else { return Err(self.judge_silence(heard)) };
                        let end = match message {
                            Some(ChannelMsg::ExtendedData { data, .. }) => {
                                heard.hear_error(&data);
                                continue;
                            }
                            Some(ChannelMsg::ExitStatus { exit_status }) => End::Exit(exit_status),
                            Some(ChannelMsg::ExitSignal { .. }) => End::Signal,
                            Some(ChannelMsg::Close) => End::Closed,
                            None => return Err(self.cut("sending the helper")),
                            Some(_) => continue,
                        };
                        heard.drain_errors(read, deadline).await;
                        return Err(self.refused(heard.recognise(end, self.user), heard.shown(self)));
                    }
                }
            }
        }
        Ok(())
    }

    fn judge_silence(&self, heard: &Heard) -> Error {
        // sudo may have asked in words of its own and now waits.
        let asked = Refusal::recognise(&heard.all, End::Closed, self.user, heard.gave_password);
        let refusal = if asked == Refusal::Unknown {
            Refusal::Silent
        } else {
            asked
        };
        self.refused(refusal, heard.shown(self))
    }

    fn refused(&self, refusal: Refusal, output: String) -> Error {
        Error::Start {
            host: self.host.to_owned(),
            user: self.user.to_owned(),
            refusal,
            output,
        }
    }

    fn no_helper(&self, machine: String) -> Error {
        let available = Architecture::ALL
            .into_iter()
            .filter(|architecture| self.helpers.get(*architecture).is_some())
            .collect();
        Error::NoHelper {
            host: self.host.to_owned(),
            machine,
            available,
        }
    }

    fn cut(&self, doing: &'static str) -> Error {
        Error::Cut {
            host: self.host.to_owned(),
            doing,
        }
    }
}

impl Heard {
    /// The next line that is for us; others are banner.
    fn line(&mut self, nonce: &str) -> Option<Line> {
        while let Some(at) = self.pending.iter().position(|byte| *byte == b'\n') {
            let rest = self.pending.split_off(at + 1);
            let bytes = std::mem::replace(&mut self.pending, rest);
            let text = String::from_utf8_lossy(&bytes);
            if let Some(line) = parse(text.trim_end(), nonce) {
                return Some(line);
            }
            self.banner_bytes += bytes.len();
            self.output.push(&bytes);
            self.remember(&text);
        }
        None
    }

    fn hear_error(&mut self, data: &[u8]) {
        self.errors.push(data);
        self.remember(&String::from_utf8_lossy(data));
    }

    fn remember(&mut self, text: &str) {
        if self.all.len() + text.len() <= MAX_BANNER_BYTES {
            self.all.push_str(text);
        }
    }

    /// What was printed before the end was said arrives on another stream, perhaps after it.
    async fn drain_errors(&mut self, read: &mut ChannelReadHalf, deadline: Instant) {
        while let Ok(Some(message)) = timeout_at(deadline, read.wait()).await {
            match message {
                ChannelMsg::ExtendedData { data, .. } => self.hear_error(&data),
                ChannelMsg::Close => return,
                _ => {}
            }
        }
    }

    fn recognise(&self, end: End, user: &str) -> Refusal {
        let pending = String::from_utf8_lossy(&self.pending);
        Refusal::recognise(
            &format!("{}\n{pending}", self.all),
            end,
            user,
            self.gave_password,
        )
    }

    /// The last of both streams, fit to be shown.
    fn shown(&self, launch: &Launch<'_>) -> String {
        let secret = launch.sudo_password.map_or("", Secret::expose);
        let pending = String::from_utf8_lossy(&self.pending);
        let all = [&self.output.text(), &*pending, &self.errors.text()].join("\n");
        text::printable(&all.replace(&self.prompt, ""), &[secret])
    }
}

fn parse(line: &str, nonce: &str) -> Option<Line> {
    // A banner without line end may stand before it.
    let at = line.find("ETCD-NODE-")?;
    let mut words = line[at..].split(' ');
    let (kind, shown, value) = (words.next()?, words.next()?, words.next()?);
    if shown != nonce || words.next().is_some() {
        return None;
    }
    match kind {
        "ETCD-NODE-READY" => Some(Line::Ready {
            version: value.to_owned(),
        }),
        "ETCD-NODE-NEED" => Some(Line::Need {
            machine: value.to_owned(),
        }),
        "ETCD-NODE-NONE" => Some(Line::None {
            machine: value.to_owned(),
        }),
        _ => None,
    }
}

/// 128 random bits, hex: no banner holds them by chance.
fn nonce() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the system has random numbers");
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_shell_passes_the_script_through() {
        assert!(!SCRIPT.contains(['\'', '!', '\\', '\n']), "{SCRIPT}");
    }

    #[test]
    fn only_lines_with_the_nonce_are_for_us() {
        let ready = Line::Ready {
            version: "0.1.0".into(),
        };
        assert_eq!(parse("ETCD-NODE-READY abc 0.1.0", "abc"), Some(ready));
        let need = Line::Need {
            machine: "x86_64".into(),
        };
        assert_eq!(
            parse("no line end hereETCD-NODE-NEED abc x86_64", "abc"),
            Some(need)
        );
        assert_eq!(parse("ETCD-NODE-READY other 0.1.0", "abc"), None);
        assert_eq!(parse("ETCD-NODE-READY abc", "abc"), None);
        assert_eq!(parse("welcome", "abc"), None);
    }
}
