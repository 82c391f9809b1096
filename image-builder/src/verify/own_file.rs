//! The machine file that an image was made from: every system carries its own.

use std::path::Path;

use anyhow::Context;
use cairn_machine::Checked;
use cairn_make::lock_file;
use cairn_observe::inspect::inspect;
use cairn_observe::look_into;
use cairn_observe::made_from::load_own;
use cairn_observe::view::{Disk, ViewError};

use super::Expected;

/// The current generation's system, through the profile's links.
const SYSTEM: &str = "/nix/var/nix/profiles/system";

/// What an image says that it should be: its own machine file, packages, system and kernel.
///
/// # Errors
/// When that cannot be told.
pub fn expected(image: &Path) -> anyhow::Result<Expected> {
    let found = inspect(image)?;
    // What is not known of it would not be asked for either.
    anyhow::ensure!(
        found.gave_up.is_empty(),
        "not all of {} can be told: {}",
        image.display(),
        found.gave_up.join("; ")
    );
    let disk = Disk::open(image)?;
    let checked = look_into(&disk, || machine_file(&disk, image))?.with_context(|| {
        format!("{} has no machine file of its own; name one to hold it against with --against", image.display())
    })?;
    let packages = lock_file::with_stand_in(found.packages.into_iter().map(|p| (p.name, p.version)));
    let (system, kernel) = found.system.map(|s| (s.path, s.kernel)).unzip();
    // Files that the machine file takes from beside itself are not in the image under their names.
    let expected = Expected::from_machine(&checked, &mut |_| None);
    Ok(expected.with_packages(packages).with_system(system, kernel.flatten()))
}

fn machine_file(disk: &Disk, image: &Path) -> anyhow::Result<Option<Checked>> {
    let machine = match disk.machine() {
        Err(ViewError::NotAMachine { .. }) => return Ok(None),
        other => other?,
    };
    let read = |name: &str| machine.root.read(&format!("{SYSTEM}/{name}"), machine.root.most_text());
    let Some(bytes) = read("machine.yaml")? else { return Ok(None) };
    let mut file = |name: &str| match name {
        "machine.yaml" => Ok(bytes.clone()),
        other => read(other).map_err(|e| e.to_string())?.ok_or_else(|| "not in the image".to_string()),
    };
    Ok(Some(load_own(format!("{}:machine.yaml", image.display()), &mut file)?))
}
