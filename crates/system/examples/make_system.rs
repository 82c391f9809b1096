//! Makes a system from a machine file and a base, without the rest of Cairn.
//!
//! `make_system MACHINE-YAML STORE-ROOT CACHE BASE ROOT [DEVICE:TARGET:FORMAT…]`: BASE is the base name of a path of the
//! store, or a folder that is then added to it; ROOT is the device as `root=` takes it. Prints the system's path, and
//! the paths of its closure.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use cairn_machine::model::FileSystem;
use cairn_machine::{FilePurpose, SourceFile};
use cairn_process::{Report, Tool};
use cairn_store::{Store, StorePath};
use cairn_system::debian::Base;
use cairn_system::{Mount, Program, SystemInput};

struct Talk;

impl Report for Talk {
    fn phase(&self, name: &str, _total: Option<u64>) {
        eprintln!("{name}");
    }
    fn advance(&self, _steps: u64) {}
    fn note(&self, text: &str) {
        eprintln!("note: {text}");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&args) {
        let mut error: &dyn std::error::Error = &*error;
        eprint!("error: {error}");
        while let Some(source) = error.source() {
            eprint!(": {source}");
            error = source;
        }
        eprintln!();
        std::process::exit(1);
    }
}

fn run(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [machine_file, store, cache, base, root, mounts @ ..] = args else {
        return Err("see the head of this example".into());
    };
    let folder = Path::new(machine_file).parent().unwrap_or(Path::new("."));
    let bytes = std::fs::read(machine_file)?;
    let main = SourceFile::new(machine_file.as_str(), bytes.clone());
    let checked = cairn_machine::check(&main, &mut |name| std::fs::read(folder.join(name)).map_err(|e| e.to_string()))
        .map_err(|problems| problems.to_string())?;
    let (mut sources, mut named) = (BTreeMap::new(), BTreeMap::new());
    for file in checked.named_files() {
        if let FilePurpose::PasswordHash(_) = file.purpose {
            continue;
        }
        let bytes = std::fs::read(folder.join(&file.path))?;
        if let FilePurpose::EtcFile(path) = file.purpose {
            sources.insert(path, bytes.clone());
        }
        named.insert(file.path, bytes);
    }
    // Any program will do for looking at the system that comes out.
    let program = std::env::current_exe()?;
    let store = Store::open(Path::new(store))?;
    let info = if Path::new(base).is_dir() {
        let scratch = store.scratch()?;
        let copy = Tool::new("cp", "coreutils", "copy the base").args(["-a", "--reflink=auto"]);
        copy.arg(format!("{base}/.")).arg(scratch.path()).run()?;
        store.add("debian-trixie-base", scratch, &[])?
    } else {
        store.info(&StorePath::from_basename(base)?)?.ok_or("no such base")?
    };
    let release = std::fs::read_to_string(store.real_path(&info.path).join("kernel-release"))?;
    let base = Base { info, kernel_release: release.trim().into() };
    let mounts: Vec<Mount> = mounts.iter().map(|m| mount(m)).collect::<Option<_>>().ok_or("a bad mount")?;
    let files = BTreeMap::from([("machine.yaml", bytes)]);
    let start = Instant::now();
    let input = SystemInput {
        checked: &checked,
        base: &base,
        root,
        mounts: &mounts,
        sources: &sources,
        named: &named,
        loader: None,
        program: Program::File(&program),
        usr: &BTreeMap::new(),
        files: &files,
        store: &store,
        cache: Path::new(cache),
        key: None,
    };
    let system = cairn_system::build(&input, &Talk)
        .inspect_err(|e| eprintln!("{} {}", e.pointer().unwrap_or("-"), e.help().unwrap_or("")))?;
    eprintln!("{:.3} s", start.elapsed().as_secs_f64());
    println!("{}", system.info.path);
    for info in store.closure(&[system.info.path])? {
        println!("{}", store.real_path(&info.path).display());
    }
    Ok(())
}

fn mount(text: &str) -> Option<Mount> {
    let (device, rest) = text.split_once(':')?;
    let (target, format) = rest.split_once(':')?;
    let format = match format {
        "vfat" => FileSystem::Vfat,
        "ext4" => FileSystem::Ext4,
        "swap" => FileSystem::Swap,
        _ => return None,
    };
    Some(Mount { device: device.into(), target: target.into(), format })
}
