//! `cairn verify`: a machine checked from the inside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use cairn_disk::image::ImageFile;
use cairn_machine::Checked;
use cairn_machine::lock::Lock;
use cairn_make::machine_file::{is_machine_file, load};
use cairn_make::{lock_file, plain_file};
use image_builder::verify::{Expected, VerifyOptions, expected_of_image};

use crate::args::VerifyArgs;
use crate::commands::run::{controller, firmware, image_of};
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: VerifyArgs, ui: &Ui) -> anyhow::Result<Exit> {
    // Before anything is built or booted: a mistake in the file should not take minutes to be told.
    let against = args.against.as_deref().map(against).transpose()?;
    let (image, own) = if is_machine_file(&args.what) {
        let (image, machine) = image_of(&args.what, ui)?;
        (image, Some(Expected::of(&machine)))
    } else {
        ImageFile::open(&args.what)?;
        (args.what.clone(), None)
    };
    let expected = match (against, own) {
        (Some(expected), _) | (None, Some(expected)) => expected,
        (None, None) => expected_of_image(&image)?,
    };
    let options = VerifyOptions {
        memory: args.guest.memory(),
        cpus: args.guest.cpus(),
        controller: controller(args.disk),
        firmware: args.guest.firmware.map(firmware),
        screenshot: args.screenshot,
        console_log: args.console,
        deadline: Duration::from_secs(args.timeout),
        ..VerifyOptions::default()
    };
    let result = image_builder::verify::verify(&image, &expected, &options, ui.report())?;
    if let Some(path) = &args.junit {
        let suite = format!("cairn verify {}", args.what.display());
        std::fs::write(path, result.junit(&suite)).with_context(|| format!("writing {}", path.display()))?;
    }
    if ui.json() {
        ui.object(&result)?;
    } else {
        ui.text(result.table())?;
    }
    Ok(if result.ok { Exit::Done } else { Exit::Failed })
}

/// What another machine file says; its packages too, where its lock file fits.
fn against(file: &Path) -> anyhow::Result<Expected> {
    let checked = load(file)?;
    let lock = lock_file::read(file)?.filter(|lock| lock_file::differences(lock, &checked).is_empty());
    Ok(expected(file, &checked, lock.as_ref()))
}

fn expected(file: &Path, checked: &Checked, lock: Option<&Lock>) -> Expected {
    let folder: PathBuf = file.parent().unwrap_or(Path::new("")).to_path_buf();
    let expected =
        Expected::from_machine(checked, &mut |name| plain_file::read(&folder.join(name), plain_file::SOURCE).ok());
    match lock {
        Some(lock) => expected.with_packages(lock_file::packages(lock)),
        None => expected,
    }
}
