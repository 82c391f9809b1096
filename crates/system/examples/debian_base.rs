//! Locks a machine file's packages and makes its base, without the rest of Cairn.
//!
//! `debian_base lock MACHINE CACHE LOCK`, then `debian_base base MACHINE CACHE LOCK STORE-ROOT`, and `sbom` with the same
//! arguments for its bill of materials. Used by `scripts/test-base`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use cairn_machine::SourceFile;
use cairn_machine::lock::Lock;
use cairn_machine::model::Machine;
use cairn_process::Report;
use cairn_store::Store;
use cairn_system::debian;

/// Prints each phase with its time.
struct Timed(Mutex<Option<(String, Instant)>>);

impl Timed {
    fn end(&self) {
        if let Some((name, since)) = self.0.lock().unwrap().take() {
            eprintln!("{:7.2} s  {name}", since.elapsed().as_secs_f64());
        }
    }
}

impl Report for Timed {
    fn phase(&self, name: &str, _total: Option<u64>) {
        self.end();
        *self.0.lock().unwrap() = Some((name.into(), Instant::now()));
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

fn read(lock_file: &Path) -> Result<Lock, Box<dyn std::error::Error>> {
    Ok(Lock::parse(&SourceFile::new(lock_file.display().to_string(), std::fs::read(lock_file)?))?)
}

fn run(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [command, machine, cache, lock, rest @ ..] = args else { return Err("see the head of this example".into()) };
    let machine: Machine = serde_yaml::from_slice(&std::fs::read(machine)?)?;
    let (cache, lock_file) = (Path::new(cache), PathBuf::from(lock));
    let timed = Timed(Mutex::new(None));
    match (command.as_str(), rest) {
        ("lock", []) => {
            let lock = debian::lock(&machine, cache, &timed).inspect_err(|e| {
                if let Some(pointer) = e.pointer() {
                    eprintln!("at {pointer}");
                }
            })?;
            std::fs::write(lock_file, lock.to_yaml())?;
        }
        ("base", [root]) => {
            let lock = read(&lock_file)?;
            for difference in lock.differences(&machine, &debian::requested(&machine)) {
                eprintln!("note: the lock is stale: {difference}");
            }
            let store = Store::open(Path::new(root))?;
            let begun = Instant::now();
            let base = debian::base(&lock, &machine, &store, cache, &timed)?;
            timed.end();
            eprintln!("{:7.2} s  in all", begun.elapsed().as_secs_f64());
            println!("{} {} {}", base.info.path, base.kernel_release, base.info.nar_size);
        }
        ("sbom", [root]) => {
            let lock = read(&lock_file)?;
            let store = Store::open(Path::new(root))?;
            let base = debian::cached(&lock, &store, cache)?.ok_or("no base yet")?;
            let packages = debian::Package::of_base(&store.real_path(&base.info.path))?;
            print!("{}", debian::cyclonedx(&machine, &packages, None));
        }
        _ => return Err("see the head of this example".into()),
    }
    timed.end();
    Ok(())
}
