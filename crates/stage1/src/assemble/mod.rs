//! Puts the root file system together: `/usr` from the base, `/etc` from the system and the machine's own state,
//! what is missing of `/var`, the store read-only.

mod apply;
mod facts;
mod kept;
pub mod modes;
mod plan;
mod upper;
mod variable;

use std::path::Path;

use crate::cmdline::Parameters;
use crate::error::Error;

/// Runs the whole plan below `root`, where the root file system is mounted read-write.
pub fn run(parameters: &Parameters, root: &Path) -> Result<(), Error> {
    let system = parameters.system()?;
    facts::mount_var(root, &system)?;
    let (mut facts, mut accounts) = facts::read(root, &system)?;
    let etc = (!parameters.trial).then(|| facts.etc.clone());
    let upper = upper::prepare(root, etc.as_deref(), &mut accounts, &mut facts.special)?;
    for step in plan::steps(&facts) {
        apply::apply(&step, root, &upper, &facts.special)?;
    }
    // Told here, it ends in a message and an emergency; later it would leave a machine without its first process.
    facts::check_init(root, &system)
}
