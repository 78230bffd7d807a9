//! Keys of a terminal.

use std::future::pending;
use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc;

/// How long the thread of keys waits before it looks whether anybody still wants keys.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Keys that wait to be taken: nobody types faster than they are.
const KEYS_MAX: usize = 64;

/// The keys that are typed, or none at all.
#[derive(Debug)]
pub(crate) struct Keys(Option<mpsc::Receiver<KeyEvent>>);

impl Keys {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// The keys from now on. A thread of its own reads them, because a read cannot be cancelled.
    pub(crate) fn read() -> io::Result<Self> {
        let (keys, receiver) = mpsc::channel(KEYS_MAX);
        let thread = std::thread::Builder::new().name("keys".to_owned());
        thread.spawn(move || pass_on(&keys))?;
        Ok(Self(Some(receiver)))
    }

    /// Whether there may be another one.
    pub(crate) const fn may_come(&self) -> bool {
        self.0.is_some()
    }

    /// The next key; never when there are none. Cancel safe.
    pub(crate) async fn next(&mut self) -> KeyEvent {
        if let Some(receiver) = &mut self.0
            && let Some(key) = receiver.recv().await
        {
            return key;
        }
        self.0 = None;
        pending().await
    }
}

fn pass_on(keys: &mpsc::Sender<KeyEvent>) {
    while !keys.is_closed() {
        match event::poll(LOOK_INTERVAL) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    // Keys that nobody takes in time are lost, as on a terminal.
                    let _ = keys.try_send(key);
                }
                Ok(_) => {}
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}
