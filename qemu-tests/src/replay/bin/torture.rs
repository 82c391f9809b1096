//! The long forms of the power cut tests; `scripts/torture` calls it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use qemu_tests::replay::record::{Kernel, record};
use qemu_tests::replay::script::Hasty;
use qemu_tests::replay::states::Thorough;
use qemu_tests::replay::{cases, primitive};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["primitives", store, ref names @ ..] => primitives(Path::new(store), names),
        _ => bail!("usage: torture primitives STORE [CASE...]"),
    }
}

fn primitives(store: &Path, names: &[&str]) -> Result<()> {
    let kernel = Kernel::in_store(store)?;
    let all = cases::BROKEN.iter().chain(cases::SAFE).filter(|case| names.is_empty() || names.contains(&case.name));
    let all: Vec<_> = all.flat_map(|case| [Hasty::Never, Hasty::Metadata, Hasty::All].map(|h| (case, h))).collect();
    let name = |case: &primitive::Case, hasty: Hasty| format!("{}.{:.1}", case.name, hasty.to_string());
    for some in all.chunks(60) {
        let folder = tempfile::tempdir()?;
        let scripts: BTreeMap<String, String> =
            some.iter().map(|(case, hasty)| (name(case, *hasty), primitive::script(case, *hasty))).collect();
        let mut recordings = record(&kernel, &scripts, folder.path())?;
        for (case, hasty) in some {
            let recording = recordings.get_mut(&name(case, *hasty)).context("not recorded")?;
            let how = Thorough { subsets: 400, seed: 3, torn: 16 };
            print!("{}", primitive::report(case, *hasty, &primitive::judge(case, recording, how)?));
        }
    }
    Ok(())
}
