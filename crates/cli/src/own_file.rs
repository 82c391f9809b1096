//! The machine file that an image was made from: every system carries its own.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use cairn_disk::{FileSource, Region, Source, ext4, partition_table};
use cairn_machine::{Checked, SourceFile, check};
use image_builder::image_file::{Format, ImageFile};
use image_builder::inspect::inspect;
use image_builder::qcow2::Qcow2Source;
use image_builder::verify::Expected;

use crate::lock_file;

/// The current generation's system, through the profile's links.
const SYSTEM: &str = "/nix/var/nix/profiles/system";
/// Nobody writes a machine file of this size by hand.
const MOST: u64 = 16 << 20;

/// What an image says that it should be: its own machine file, packages, system and kernel.
pub fn expected(image: &Path) -> anyhow::Result<Expected> {
    let found = inspect(image)?;
    let opened = ImageFile::open(image)?;
    let source: Box<dyn Source> = match opened.format {
        Format::Raw => {
            let file = File::open(&opened.path).with_context(|| format!("opening {}", image.display()))?;
            Box::new(FileSource::new(file).with_context(|| format!("reading {}", image.display()))?)
        }
        Format::Qcow2 => Box::new(Qcow2Source::open(&opened.path)?),
    };
    let checked = machine_file(&*source, image)?.with_context(|| {
        format!("{} has no machine file of its own; name one to hold it against with --against", image.display())
    })?;
    let packages = lock_file::with_stand_in(found.packages.into_iter().map(|p| (p.name, p.version)));
    let (system, kernel) = found.system.map(|s| (s.path, s.kernel)).unzip();
    // Files that the machine file takes from beside itself are not in the image under their names.
    let expected = Expected::from_machine(&checked, &mut |_| None);
    Ok(expected.with_packages(packages).with_system(system, kernel.flatten()))
}

fn machine_file(source: &dyn Source, image: &Path) -> anyhow::Result<Option<Checked>> {
    let table = partition_table::read(source).with_context(|| format!("reading {}", image.display()))?;
    for partition in &table.partitions {
        let Ok(root) = ext4::Reader::open(Region::new(source, partition.offset, partition.bytes)) else { continue };
        let read = |name: &str| root.read(&format!("{SYSTEM}/{name}"), MOST);
        let Some(bytes) = read("machine.yaml").with_context(|| format!("reading {}", image.display()))? else {
            continue;
        };
        let source = SourceFile::new(format!("{}:machine.yaml", image.display()), bytes);
        // Whatever it was called, the system has it under this name.
        let mut hardware = |_: &str| match read("hardware.yaml") {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err("not in the image".into()),
            Err(e) => Err(e.to_string()),
        };
        return Ok(Some(check(&source, &mut hardware)?));
    }
    Ok(None)
}
