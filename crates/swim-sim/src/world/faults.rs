//! Faults of hosts: processes that stand still or are slow, and clocks that are wrong.

use super::World;
use crate::host::Pause;
use crate::machine::{Command, HostId, Machine};
use crate::time::Nanos;
use crate::watch::Watcher;

impl<M: Machine, W: Watcher<M>> World<M, W> {
    /// Makes the process on a host stand still, until it is resumed.
    pub fn pause(&mut self, host: HostId, pause: Pause) {
        let place = &mut self.hosts[host as usize];
        if place.machine.is_none() || place.pause.is_some() {
            return;
        }
        place.pause = Some(pause);
        self.watcher.fault(self.now, &format_args!("pause {host} {}", pause.as_str()));
        self.watcher.disturbed(self.now, host);
        if pause == Pause::Blocked {
            self.command_at_once(host, Command::HoldProbes);
        }
    }

    /// Lets the process on a host go on.
    pub fn resume(&mut self, host: HostId) {
        let place = &mut self.hosts[host as usize];
        let Some(pause) = place.pause.take() else { return };
        self.watcher.fault(self.now, &format_args!("resume {host}"));
        self.watcher.disturbed(self.now, host);
        if pause != Pause::Frozen {
            self.timeout(host);
        }
        for (to, packet) in std::mem::take(&mut self.hosts[host as usize].outbox) {
            self.send(host, to, packet);
        }
        if pause == Pause::Blocked {
            self.command(host, Command::ReleaseProbes);
        }
        for parcel in std::mem::take(&mut self.hosts[host as usize].inbox) {
            self.take(host, parcel);
        }
        self.timeout(host);
    }

    /// From now on the process on a host takes this long for each packet.
    pub fn slow_down(&mut self, host: HostId, service: Nanos) {
        if self.hosts[host as usize].service == service {
            return;
        }
        self.watcher.fault(self.now, &format_args!("host {host} takes {service} ns for a packet"));
        let place = &mut self.hosts[host as usize];
        place.service = service;
    }

    /// The clock of a host runs at another rate from now on, in local
    /// nanoseconds for a million of virtual ones.
    pub fn set_clock_rate(&mut self, host: HostId, rate_ppm: u64) {
        if self.hosts[host as usize].clock.rate_ppm() == rate_ppm {
            return;
        }
        self.watcher.fault(self.now, &format_args!("clock of {host} runs at {rate_ppm} ppm"));
        self.hosts[host as usize].clock.set_rate(self.now, rate_ppm.max(1));
        self.rearm(host);
    }

    /// The clock of a host leaps ahead, as after the sleep of a machine.
    pub fn leap_clock(&mut self, host: HostId, ahead: Nanos) {
        self.watcher.fault(self.now, &format_args!("clock of {host} leaps by {ahead} ns"));
        self.watcher.disturbed(self.now, host);
        self.hosts[host as usize].clock.leap(self.now, ahead);
        self.rearm(host);
    }

    /// The wall clock of a host is off by this much for processes that start
    /// from now on.
    pub fn set_wall_clock(&mut self, host: HostId, offset_ms: i64) {
        self.watcher.fault(self.now, &format_args!("wall clock of {host} is off {offset_ms} ms"));
        self.hosts[host as usize].clock.wall_offset_ms = offset_ms;
    }
}
