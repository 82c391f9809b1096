//! An apt of our own beside the machine's: own sources, own lists, no packages installed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cairn_process::{Tool, ToolError};

use super::error::Error;

/// Settings of the machine's apt that hold for ours too: how to reach a mirror, and what its administrator vouches for.
const INHERITED: [&str; 7] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::ForceIPv",
    "Acquire::Retries",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::Max-FutureTime",
];

/// A private apt in a folder.
#[derive(Debug)]
pub(super) struct Apt {
    dir: PathBuf,
    config: PathBuf,
}

/// One package that apt chose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

impl Apt {
    /// Sets one up in `dir`, which keeps the lists for the next time.
    ///
    /// `check_age` says whether lists past their date are refused; a snapshot's always are past it.
    pub(super) fn new(dir: &Path, architecture: &str, sources: &str, check_age: bool) -> Result<Apt, Error> {
        let text = dir.to_string_lossy();
        if text.contains(['"', '\n', '\\']) {
            return Err(Error::BadFolder { path: dir.into() });
        }
        for sub in ["lists/partial", "cache/archives/partial"] {
            let path = dir.join(sub);
            fs::create_dir_all(&path).map_err(Error::io("making the folder", path))?;
        }
        let mut config = inherited()?;
        if !check_age {
            config += "Acquire::Check-Valid-Until \"false\";\n";
        }
        config += &format!(
            "Dir::Etc::Main \"/dev/null\";\n\
             Dir::Etc::Parts \"/dev/null\";\n\
             Dir::Etc::SourceList \"{text}/sources.list\";\n\
             Dir::Etc::SourceParts \"/dev/null\";\n\
             Dir::Etc::Preferences \"/dev/null\";\n\
             Dir::Etc::PreferencesParts \"/dev/null\";\n\
             Dir::State \"{text}\";\n\
             Dir::State::lists \"{text}/lists\";\n\
             Dir::State::status \"{text}/status\";\n\
             Dir::Cache \"{text}/cache\";\n\
             APT::Architecture \"{architecture}\";\n\
             APT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Install-Recommends \"false\";\n\
             APT::Install-Suggests \"false\";\n\
             APT::Sandbox::User \"root\";\n\
             APT::Update::Error-Mode \"any\";\n\
             Acquire::AllowInsecureRepositories \"false\";\n\
             Acquire::Languages \"none\";\n\
             pkgCacheGen::ForceEssential \",\";\n"
        );
        let apt = Apt { dir: dir.into(), config: dir.join("apt.conf") };
        for (name, contents) in [("apt.conf", config.as_str()), ("sources.list", sources), ("status", "")] {
            let path = dir.join(name);
            fs::write(&path, contents).map_err(Error::io("writing", path))?;
        }
        Ok(apt)
    }

    /// A program of apt's, set up to use this folder.
    pub(super) fn tool(&self, program: &str, reason: &'static str) -> Tool {
        Tool::new(program, "apt", reason).clean_env().env("APT_CONFIG", &self.config)
    }

    /// Reads the lists from the mirror. apt checks their signatures.
    pub(super) fn update(&self) -> Result<(), ToolError> {
        self.tool("apt-get", "read a mirror's package lists").args(["-q", "update"]).run()
    }

    /// The files with the lists of packages, sorted.
    pub(super) fn package_lists(&self) -> Result<Vec<PathBuf>, Error> {
        let out = self
            .tool("apt-get", "find the package lists")
            .args(["indextargets", "--format", "$(FILENAME)", "Created-By: Packages"])
            .output()?;
        let mut files: Vec<PathBuf> = String::from_utf8_lossy(&out).lines().map(PathBuf::from).collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The signed Release files that were read, sorted.
    pub(super) fn release_files(&self) -> Result<Vec<PathBuf>, Error> {
        let lists = self.dir.join("lists");
        let mut files = Vec::new();
        for entry in fs::read_dir(&lists).map_err(Error::io("reading", &lists))? {
            let path = entry.map_err(Error::io("reading", &lists))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with("_InRelease") || name.ends_with("_Release") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// What apt would install for these packages on an empty machine, with what they recommend or without.
    pub(super) fn simulate(&self, packages: &[&str], recommends: bool) -> Result<Vec<Chosen>, Error> {
        let tool = self
            .tool("apt-get", "choose the versions of packages")
            .args(["-q", "--simulate", "-o", &format!("APT::Install-Recommends={recommends}"), "install", "--"])
            .args(packages.iter().copied());
        let (out, ended) = run(tool, |_| ())?;
        match ended {
            Ok(()) => simulated(&out),
            Err(ToolError::Failed { stderr, .. }) => Err(Error::Unsatisfiable { detail: complaint(&out, &stderr) }),
            Err(other) => Err(other.into()),
        }
    }
}

/// Runs a tool, shows each line of its output as it comes, and keeps all of it.
pub(super) fn run(tool: Tool, mut line_seen: impl FnMut(&str)) -> Result<(String, Result<(), ToolError>), Error> {
    let mut running = tool.start(Stdio::null(), Stdio::piped())?;
    let mut out = String::new();
    if let Some(pipe) = running.take_stdout() {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        // A line that is not UTF-8 is no reason to lose the rest; a broken pipe is told by how the tool ends.
        while matches!(pipe.by_ref().read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            line_seen(text.trim_end());
            out.push_str(&text);
            line.clear();
        }
    }
    Ok((out, running.wait()))
}

fn inherited() -> Result<String, Error> {
    let dump =
        Tool::new("apt-config", "apt", "learn how this machine reaches a mirror").arg("dump").clean_env().output()?;
    Ok(keep_inherited(&String::from_utf8_lossy(&dump)))
}

fn keep_inherited(dump: &str) -> String {
    dump.lines().filter(|l| INHERITED.iter().any(|key| l.starts_with(key))).map(|l| format!("{l}\n")).collect()
}

/// Reads lines such as `Inst libc6 [2.36] (2.41-12 Debian:13.2/stable, Debian-Security:13 [amd64]) []`.
fn simulated(out: &str) -> Result<Vec<Chosen>, Error> {
    let mut chosen = Vec::new();
    for line in out.lines() {
        let Some(rest) = line.strip_prefix("Inst ") else { continue };
        let parsed = || {
            let name = rest.split([' ', ':']).next()?;
            let inner = rest.split_once('(')?.1.split_once(')')?.0;
            let version = inner.split(' ').next()?;
            let architecture = inner.rsplit_once('[')?.1.strip_suffix(']')?;
            let owned = [name, version, architecture].map(ToString::to_string);
            owned.iter().all(|s| !s.is_empty()).then_some(owned)
        };
        let [name, version, architecture] =
            parsed().ok_or_else(|| Error::Answer { program: "apt-get".into(), detail: format!("'{line}'") })?;
        chosen.push(Chosen { name, version, architecture });
    }
    chosen.sort();
    Ok(chosen)
}

/// What of apt's output tells why packages do not go together.
fn complaint(out: &str, stderr: &str) -> String {
    let start = out.find("The following packages have unmet dependencies").unwrap_or(out.len());
    let detail: Vec<&str> = out[start..].lines().chain(stderr.lines()).filter(|l| !l.trim().is_empty()).collect();
    detail.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_packages_are_read_and_sorted() {
        let out = "Reading package lists...\n\
            Inst gcc-14-base (14.2.0-19 Debian:13.7/stable [amd64])\n\
            Inst libc6 [2.36-9] (2.41-12 Debian:13.7/stable, Debian-Security:13/stable-security [amd64]) []\n\
            Inst base-files (13.8+deb13u7 Debian:13.7/stable [all]) [libc6:amd64 ]\n\
            Conf libc6 (2.41-12 Debian:13.7/stable [amd64])\n";
        let names: Vec<String> =
            simulated(out).unwrap().iter().map(|c| format!("{} {} {}", c.name, c.version, c.architecture)).collect();
        assert_eq!(names, ["base-files 13.8+deb13u7 all", "gcc-14-base 14.2.0-19 amd64", "libc6 2.41-12 amd64"]);
    }

    #[test]
    fn an_odd_line_is_an_error_and_no_guess() {
        assert!(simulated("Inst libc6 2.41\n").is_err());
        assert!(simulated("Inst libc6 (2.41 Debian)\n").is_err());
    }

    #[test]
    fn only_the_way_to_the_mirror_is_inherited() {
        let dump = "APT::Update::Post-Invoke \"\";\n\
            APT::Update::Post-Invoke:: \"rm -rf /\";\n\
            Acquire::http::Proxy \"http://proxy.example:3128\";\n\
            Acquire::AllowInsecureRepositories \"1\";\n\
            Acquire::GzipIndexes \"true\";\n";
        assert_eq!(keep_inherited(dump), "Acquire::http::Proxy \"http://proxy.example:3128\";\n");
    }

    #[test]
    fn the_reason_is_cut_out_of_apts_words() {
        let out = "Reading package lists...\nSome packages could not be installed.\n\n\
                   The following packages have unmet dependencies:\n a : Depends: b but it is not installable\n";
        assert_eq!(
            complaint(out, "E: Unable to correct problems"),
            "The following packages have unmet dependencies:\n a : Depends: b but it is not installable\n\
             E: Unable to correct problems"
        );
    }
}
