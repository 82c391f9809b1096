//! What the first process's child does: a plain root, from nothing to the whole.

use std::path::Path;

use nix::unistd::{alarm, dup2_stderr};
use sys_mount::{FilesystemType, Mount};

use super::NEW_ROOT;
use super::devices::Devices;
use super::medium;
use crate::cmdline::Parameters;
use crate::error::{Context, Error};
use crate::root::Root;
use crate::{assemble, grow, trial};

/// Seconds after which putting the root together has gone wrong. It may have to check the file system of a `/var` of its own,
/// which takes its time.
const PATIENCE: u32 = 15 * 60;

/// Finds, checks, grows and mounts the root, and puts it together.
///
/// # Errors
/// When any of that fails: nothing is the worse for it, and the initrd's systemd does it all again.
pub fn prepare(parameters: &Parameters) -> Result<(), Error> {
    // The first process reads one pipe.
    dup2_stderr(std::io::stdout()).context("joining the outputs")?;
    if let Some(root_hash) = &parameters.medium {
        let medium = medium::Medium::mount(parameters, root_hash)?;
        alarm::set(PATIENCE);
        let done = assemble::run(parameters, Path::new(NEW_ROOT));
        return done.and_then(|()| medium.finish()).map_err(|error| medium.explain(error));
    }
    if parameters.trial {
        trial::begin()?;
    }
    let uuid = parameters.root_uuid().ok_or_else(|| Error::new("root= names no UUID"))?;
    let mut devices = Devices::default();
    let node = devices.file_system(uuid)?;
    grow::check(&node)?;
    grow::run(parameters)?;
    let root = Path::new(NEW_ROOT);
    let mount = Mount::builder().fstype(FilesystemType::Manual("ext4")).mount(&node, root);
    mount.with_context(|| format!("mounting {}", node.display()))?;
    if let Some((device, _)) = assemble::own_var(&Root::open(root).context("opening the root")?, &parameters.system()?)?
    {
        devices.node(&device)?;
    }
    // Nothing is waited for any more; a signal that nobody handles is the end.
    alarm::set(PATIENCE);
    assemble::run(parameters, root)
}
