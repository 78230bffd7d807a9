//! A cluster of processes that keep values, under load.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::load::Serving;
use crate::measure::{LOOK_INTERVAL, PATIENCE};
use crate::process::{Line, Remote, listeners};
use crate::roles::Role;

/// The processes, and what they said.
pub(crate) struct Keepers {
    role: Role,
    pub(crate) addresses: Vec<String>,
    pub(crate) processes: Vec<Remote>,
    pub(crate) serving: Serving,
    sender: Sender<Line>,
    lines: Receiver<Line>,
    /// By process: when it had its latest ring, by the shared clock, that ring's size and checksum.
    pub(crate) rings: HashMap<usize, (u64, usize, String)>,
    listening: Vec<bool>,
    /// How many bytes of state processes were given, as those said that were asked or stopped.
    taken_bytes: u64,
    /// How many said so.
    told: usize,
}

impl Keepers {
    /// Starts so many, and waits until all have one ring.
    pub(crate) async fn start(role: Role, size: usize) -> Result<Self> {
        // Ports that were free a moment ago.
        let (_, addresses) = listeners(size)?;
        let (sender, lines) = channel();
        let mut all = Self {
            role,
            addresses,
            processes: Vec::new(),
            serving: Serving::default(),
            sender,
            lines,
            rings: HashMap::new(),
            listening: vec![false; size],
            taken_bytes: 0,
            told: 0,
        };
        for i in 0..size {
            let process = all.process(i)?;
            all.processes.push(process);
        }
        all.until("all listen", |all| all.listening.iter().all(|listens| *listens)).await?;
        all.until("all have one ring", |all| all.agree(size)).await?;
        for address in &all.addresses {
            all.serving.add(address).await?;
        }
        Ok(all)
    }

    fn process(&self, i: usize) -> Result<Remote> {
        let hosts = self.addresses.join(",");
        Remote::start(self.role, &self.addresses[i], &hosts, i, self.sender.clone())
    }

    /// Whether all have one ring of so many members.
    pub(crate) fn agree(&self, size: usize) -> bool {
        let mut rings = self.rings.values().map(|(_, size, checksum)| (*size, checksum));
        let Some(first) = rings.next() else { return false };
        self.rings.len() == self.addresses.len() && first.0 == size && rings.all(|it| it == first)
    }

    /// Stops one in order and starts it anew, as a deploy does: the balancer sends it no calls
    /// meanwhile.
    pub(crate) async fn restart(&mut self, i: usize) -> Result<()> {
        let address = self.addresses[i].clone();
        self.serving.remove(&address);
        let told = self.told;
        self.processes[i].stop();
        self.until("it has stopped", |all| all.told > told).await?;
        self.listening[i] = false;
        self.rings.remove(&i);
        self.processes[i] = self.process(i)?;
        self.until("it listens again", |all| all.listening[i]).await?;
        let size = self.addresses.len();
        self.until("all have one ring again", |all| all.agree(size)).await?;
        self.serving.add(&address).await
    }

    /// How many bytes of state processes were given in all, stopped ones too.
    pub(crate) async fn taken_bytes(&mut self) -> Result<u64> {
        let expected = self.told + self.processes.len();
        self.processes.iter_mut().try_for_each(|process| process.tell("taken"))?;
        self.until("all say what they were given", |all| all.told == expected).await?;
        Ok(self.taken_bytes)
    }

    /// Reads lines until a condition holds.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        let began = Instant::now();
        while !condition(self) {
            match self.lines.try_recv() {
                Ok(line) => self.take(&line),
                Err(TryRecvError::Empty) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                Err(error) => bail!("not within {PATIENCE:?}: {what} ({error})"),
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &Line) {
        let words: Vec<&str> = line.text.split_whitespace().collect();
        match words[..] {
            ["switched", at, size, checksum] => {
                let ring = (at.parse().unwrap_or(0), size.parse().unwrap_or(0), checksum.into());
                self.rings.insert(line.from, ring);
            }
            ["listening", _] => self.listening[line.from] = true,
            ["taken", bytes] => {
                self.taken_bytes += bytes.parse::<u64>().unwrap_or(0);
                self.told += 1;
            }
            _ => {}
        }
    }
}
