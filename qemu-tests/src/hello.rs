//! The example that most scenarios use, built once for all of them.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cairn::{Cairn, repository};

/// examples/hello.yaml and its images. Nobody writes into these; see [`Hello::copy`].
#[derive(Debug, Clone)]
pub struct Hello {
    /// The machine file.
    pub file: PathBuf,
    /// The raw image.
    pub raw: PathBuf,
    /// The qcow2 image.
    pub qcow2: PathBuf,
    folder: PathBuf,
}

impl Hello {
    /// Builds it, unless another scenario of this run already has: then that costs what a build with nothing changed
    /// costs.
    pub fn get(cairn: &Cairn) -> Result<Hello> {
        let folder = cairn.work.join("hello");
        std::fs::create_dir_all(&folder)?;
        let lock = File::create(cairn.work.join("hello.lock"))?;
        lock.lock().context("waiting for the others")?;
        for name in ["hello.yaml", "hello.password"] {
            // Others read them by now: they are not written again for nothing, and never seen half written.
            let (bytes, to) = (std::fs::read(repository().join("examples").join(name))?, folder.join(name));
            if std::fs::read(&to).ok().as_ref() != Some(&bytes) {
                let new = folder.join(format!("{name}.new"));
                std::fs::write(&new, bytes)?;
                std::fs::rename(new, to)?;
            }
        }
        let hello = Hello {
            file: folder.join("hello.yaml"),
            raw: folder.join("hello.raw"),
            qcow2: folder.join("hello.qcow2"),
            folder: folder.clone(),
        };
        let done = cairn.cmd(["build"]).arg(&hello.file).arg("-o").arg(&folder).run()?;
        done.must(0)?;
        let printed: Vec<&str> = done.stdout.lines().collect();
        for image in [&hello.raw, &hello.qcow2] {
            ensure!(
                printed.iter().any(|l| *l == image.to_string_lossy()),
                "{done}\n{} was not printed",
                image.display()
            );
        }
        Ok(hello)
    }

    /// A copy of the raw image that may be written to, holes kept.
    pub fn copy(&self, to: &std::path::Path) -> Result<()> {
        crate::Cmd::new("cp").arg("--sparse=always").arg(&self.raw).arg(to).ok().map(|_| ())
    }

    /// The machine file with its password file and lock file in a folder of its own, the text changed.
    pub fn edited(&self, folder: &std::path::Path, edit: impl Fn(String) -> String) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        for name in ["hello.password", "hello.lock", "machine.lock"] {
            let from = self.folder.join(name);
            if from.exists() {
                std::fs::copy(from, folder.join(name))?;
            }
        }
        let file = folder.join("hello.yaml");
        std::fs::write(&file, edit(std::fs::read_to_string(&self.file)?))?;
        Ok(file)
    }

    /// The machine file for a disk of two GiB.
    pub fn small(&self, folder: &std::path::Path) -> Result<PathBuf> {
        let file = self.edited(folder, |text| text.replace("free: 1G", "free: 64M"))?;
        ensure!(std::fs::read_to_string(&file)?.contains("64M"), "the example has another size");
        Ok(file)
    }
}
