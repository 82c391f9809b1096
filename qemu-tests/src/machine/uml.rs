//! User-mode Linux: Debian's package `user-mode-linux`, a kernel that is an ordinary process. Its disk is the image, its serial
//! line a socket, its memory a file.
//!
//! It has one processor and no firmware, and its kernel is none of Debian's. When its power is cut, what it has written is
//! safe with the host.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Pid;

use super::{Network, Setup, modules, recorder};
use crate::Cairn;
use crate::command::{Cmd, Started};
use crate::menu;
use crate::preload;

/// The kernel's last word before a restart.
pub const RESTARTS: &str = "reboot: Restarting system";
/// The same before the end. There is no power to switch off, and what the kernel cannot switch off it halts.
pub const SWITCHES_OFF: &str = "reboot: System halted";

/// There is neither a network nor anybody who sits there; each of these costs seconds at every start, or at the login.
const UNWANTED: [&str; 6] = [
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-networkd-persistent-storage.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
];

/// The program.
const PROGRAM: &str = "linux.uml";
/// Its name for itself. For a restart it would start itself again with the same menu entry, so this names nothing.
const NAMELESS: &str = "linux.uml, which starts once";
/// As much as an emulated machine has.
const MEMORY: u64 = 1024 << 20;
/// Where its memory is kept if there is room: it is asked for no writing back.
const SHARED_MEMORY: &str = "/dev/shm";

/// Old pairs of terminals, 512 of them, with all of which udev would be busy.
const FEW_DEVICES: &str = "pty.legacy_count=0";
/// It uses `/usr/bin/uml_watchdog`, which no package has, as a watchdog, and complains a hundred times a second.
const QUIET: &str = "systemd.watchdog_sec=off";

/// The kernel's process, and those in which its processes run.
#[derive(Debug)]
pub struct Process {
    kernel: Started,
    /// An argument that no other kernel has, and all of its processes show.
    mark: String,
}

impl Process {
    /// Waits; `None` when it still runs after this time.
    pub fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        self.kernel.wait(patience)
    }
}

impl Drop for Process {
    /// The others do not end with the kernel when it is killed. Stopped, it makes no more of them.
    fn drop(&mut self) {
        if matches!(self.kernel.child.try_wait(), Ok(None)) {
            let id = i32::try_from(self.kernel.child.id()).map(Pid::from_raw);
            let _ = id.map(|id| kill(id, Signal::SIGSTOP));
        }
        for one in marked(&self.mark) {
            let _ = kill(Pid::from_raw(one), Signal::SIGKILL);
        }
    }
}

/// The processes that have this argument.
fn marked(mark: &str) -> Vec<i32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has = |id: &i32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes())
    };
    ids.filter(has).collect()
}

/// Starts what the menu on the disk would start: the process, and its console.
pub fn start(setup: &Setup, folder: &Path) -> Result<(Process, UnixStream)> {
    let plain = setup.disk.devices == super::VIRTIO && setup.more.is_empty() && setup.processors == 1;
    ensure!(
        plain && !setup.watchdog && setup.network != Network::Hosts,
        "user-mode Linux has neither controllers, a second disk, a second processor, a watchdog nor a way into the network"
    );
    ensure!(setup.log.is_none() || !setup.reboots, "a recorder begins its log anew at each start");
    let entry = menu::picked(&setup.disk.image, setup.firmware)?;
    let cairn = Cairn::find()?;
    let initrd = folder.join("initrd");
    let mut joined = File::create(&initrd)?;
    let archive = match setup.log {
        None => modules::archive(&cairn)?,
        Some(_) => {
            let archive = folder.join("recorder.cpio");
            modules::with_recorder(&archive)?;
            archive
        }
    };
    // What is not compressed comes first.
    std::io::copy(&mut File::open(archive)?, &mut joined)?;
    entry.initrds.iter().try_for_each(|bytes| std::io::copy(&mut bytes.as_slice(), &mut joined).map(drop))?;
    drop(joined);

    let image = setup.disk.image.display();
    let mut disks = if setup.disk.persist {
        vec![format!("ubd0={image}")]
    } else {
        // Made anew at each start.
        let layer = folder.join("written");
        let _ = std::fs::remove_file(&layer);
        vec![format!("ubd0={},{image}", layer.display())]
    };
    if let Some(log) = &setup.log {
        // `d`: it is no layer over another disk, whatever it begins with.
        File::create(log)?.set_len(recorder::ROOM)?;
        disks.extend([format!("ubd1d={}", log.display()), recorder::ONE_LOOP.into()]);
    }
    let (console, its) = UnixStream::pair()?;
    // Another one at each start, or the end of the last one would be that of the next.
    let own = tempfile::Builder::new().prefix("uml-").tempdir_in(folder)?.keep();
    let mark = format!("uml_dir={}", own.display());
    let mut kernel = Cmd::new(PROGRAM)
        .called(NAMELESS)
        .env("LD_PRELOAD", preload::library(&cairn.work, preload::PROCESSOR_STATE)?)
        .arg(format!("mem={}M", MEMORY >> 20))
        .arg(&mark)
        .arg(format!("initrd={}", initrd.display()))
        .arg(format!("rdinit={}", modules::INIT))
        .args(disks)
        // The serial line is the socket; screens there are none.
        .args(["ssl0=fd:0,fd:1", "con=null"])
        .args(entry.options.split_whitespace())
        .args([FEW_DEVICES, QUIET])
        .args(UNWANTED.map(|unit| format!("systemd.mask={unit}")));
    if room(SHARED_MEMORY).is_some_and(|room| room > 2 * MEMORY) {
        kernel = kernel.env("TMPDIR", SHARED_MEMORY);
    }
    let end = || its.try_clone().map(OwnedFd::from).context("the console's other end");
    let kernel = on_one_processor(|| kernel.start_on(end()?.into(), end()?.into(), end()?.into()))?;
    Ok((Process { kernel, mark }, console))
}

/// What is started by this stays on one of the processors: the kernel and its processes take turns at each system call, and to
/// wake each other on another processor doubles what that costs.
fn on_one_processor<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    let me = Pid::from_raw(0);
    let all = sched_getaffinity(me)?;
    let processors: Vec<usize> = (0..CpuSet::count()).filter(|n| all.is_set(*n) == Ok(true)).collect();
    // nextest numbers what runs at the same time.
    let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok().and_then(|slot| slot.parse().ok());
    let slot = slot.unwrap_or(std::process::id() as usize);
    let mut one = CpuSet::new();
    one.set(processors[slot % processors.len()])?;
    sched_setaffinity(me, &one)?;
    let started = start();
    sched_setaffinity(me, &all)?;
    started
}

/// Bytes that are free in a folder's file system, if programs may be run in it.
fn room(folder: &str) -> Option<u64> {
    let system = statvfs(folder).ok()?;
    let runs = !system.flags().contains(FsFlags::ST_NOEXEC);
    runs.then_some(system.blocks_available() * system.fragment_size())
}
