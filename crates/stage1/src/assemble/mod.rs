//! Puts the root file system together: `/usr` from the base, `/etc` from the system and the machine's own state,
//! what a new base has for `/var`, the store read-only.
//!
//! Only what no system can be without ends a boot: the store, `/usr`, `/etc`. Whatever else is missing, full, damaged or
//! in the way on the machine is told, and the boot goes on.

mod accounts;
pub mod apart;
mod apply;
mod compare;
mod facts;
pub mod given;
mod kept;
pub mod modes;
mod overlay;
mod plan;
mod upper;
pub mod variable;

use std::path::Path;

use nix::sys::stat::{Mode, umask};

use crate::cmdline::Parameters;
use crate::error::{Context, Error};
use crate::notes::Notes;
use crate::root::Root;
use apply::{Boot, apply};
pub(crate) use facts::own_var;
pub use facts::var_device;
pub(crate) use overlay::escaped;
pub(crate) use plan::SPECIAL;
pub use plan::STATE;

/// Runs the whole plan below `root`, where the root file system is mounted read-write.
pub fn run(parameters: &Parameters, root: &Path) -> Result<(), Error> {
    // Every mode is said as it is to be.
    umask(Mode::empty());
    let mut notes = Notes::default();
    let system = parameters.system()?;
    let root = &Root::open(root).with_context(|| format!("opening {}", root.display()))?;
    facts::mount_var(root, &system)?;
    let mut facts = facts::read(root, &system)?;
    let upper = upper::prepare(root, &facts.etc, !parameters.trial, &mut facts.special, &mut notes);
    // A partition below /var is filled later, where it is mounted.
    apart::keep(&facts.special).unwrap_or_else(|e| notes.say(e));
    let boot = Boot { root, facts: &facts, generation: parameters.generation, upper: &upper };
    for step in plan::steps(&facts) {
        match apply(&step, &boot, &mut notes) {
            Err(e) if step.is_vital() => return Err(e),
            Err(e) => notes.say(e),
            Ok(()) => {}
        }
    }
    // Told here, it ends in a message and an emergency; later it would leave a machine without its first process.
    facts::check_init(root, &system)
}
