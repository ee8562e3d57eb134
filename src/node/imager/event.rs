//! What the caller hears while a build goes on. A build never waits for somebody to listen.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    failure::Failed,
    proto::{
        BuildImageEvent, BuiltImage,
        build_image_event::{Event, Phase},
    },
};

/// The caller's end.
pub(crate) type Stream = ReceiverStream<Result<BuildImageEvent, Status>>;

/// Events on their way; what comes on top is left out. All that an imager prints is less.
const ROOM: usize = 1024;

/// The build's end.
#[derive(Clone, Debug)]
pub(crate) struct Events(mpsc::Sender<Result<BuildImageEvent, Status>>);

impl Events {
    pub(crate) fn channel() -> (Self, Stream) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Self(sender), ReceiverStream::new(receiver))
    }

    /// Nobody listens any more.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    pub(super) fn waiting_for(&self, holder: &str) {
        self.tell(Event::WaitingFor(holder.to_owned()));
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.tell(Event::Phase(phase.into()));
    }

    pub(super) fn line(&self, line: String) {
        self.tell(Event::Line(line));
    }

    pub(super) fn percent(&self, percent: u32) {
        self.tell(Event::Percent(percent));
    }

    fn tell(&self, event: Event) {
        // Full or closed: the build is more important than who listens to it.
        let _ = self.0.try_send(Ok(BuildImageEvent { event: Some(event) }));
    }

    /// The last event: waits for room, because this one must arrive.
    pub(crate) async fn end(self, result: Result<BuiltImage, Failed>) {
        let last = result
            .map(|built| BuildImageEvent {
                event: Some(Event::Finished(built)),
            })
            .map_err(Status::from);
        // The caller is gone: the next one finds the build.
        let _ = self.0.send(last).await;
    }
}
