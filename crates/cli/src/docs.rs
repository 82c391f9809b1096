//! What is generated from the table of arguments and the schema: man pages, completions, the command reference.
//!
//! `scripts/generate` writes them into `docs/`; a test holds them to the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_machine::schema;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;
use crate::exit::Exit;

/// Sections of the man pages that no argument tells, in roff.
const EXIT_STATUS: &str = include_str!("man/exit-status.roff");
const FOR_SCRIPTS: &str = include_str!("man/for-scripts.roff");
const FILES: &str = include_str!("man/files.roff");

const SOURCE: &str = concat!("cairn ", env!("CARGO_PKG_VERSION"));

/// Writes everything below `dir`, replacing what is there.
pub fn write(dir: &Path) -> anyhow::Result<Exit> {
    for (path, bytes) in all()? {
        let path = dir.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(Exit::Done)
}

/// What a machine gets of them, by its path below `/usr`.
pub fn below_usr() -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let place = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        match (path.parent()?.to_str()?, name) {
            ("man", page) => Some(format!("share/man/man1/{page}")),
            ("completions", "cairn.bash") => Some("share/bash-completion/completions/cairn".into()),
            ("completions", "_cairn") => Some("share/zsh/vendor-completions/_cairn".into()),
            ("completions", "cairn.fish") => Some("share/fish/vendor_completions.d/cairn.fish".into()),
            _ => None,
        }
    };
    Ok(all()?.into_iter().filter_map(|(path, bytes)| Some((place(&path)?, bytes))).collect())
}

fn all() -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let command = tree();
    files.insert("man/cairn.1".into(), page(&command, "cairn", true)?);
    for (words, sub) in below(&command, "cairn") {
        let name = words.replace(' ', "-");
        files.insert(format!("man/{name}.1").into(), page(sub, &name, false)?);
    }
    for (shell, name) in [(Shell::Bash, "cairn.bash"), (Shell::Zsh, "_cairn"), (Shell::Fish, "cairn.fish")] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "cairn", &mut text);
        files.insert(Path::new("completions").join(name), text);
    }
    files.insert("command-line.md".into(), reference(&command).into_bytes());
    let schemas =
        [("machine", schema::schema()), ("hardware", schema::hardware_schema()), ("install", schema::install_schema())];
    for (name, schema) in schemas {
        let mut text = serde_json::to_string_pretty(&schema).context("writing the schema")?;
        text.push('\n');
        files.insert(format!("{name}.schema.json").into(), text.into_bytes());
    }
    Ok(files)
}

/// The command as it is shown: of a fixed width, whatever the terminal is.
fn tree() -> Command {
    let mut command = Cli::command().term_width(80).disable_help_subcommand(true);
    command.build();
    command
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|c| !c.is_hide_set())
}

/// The commands below one, and those below them, by what is typed.
fn below<'a>(command: &'a Command, words: &str) -> Vec<(String, &'a Command)> {
    let mut found = Vec::new();
    for sub in visible(command) {
        let words = format!("{words} {}", sub.get_name());
        let more = below(sub, &words);
        found.push((words, sub));
        found.extend(more);
    }
    found
}

fn page(command: &Command, name: &str, whole: bool) -> anyhow::Result<Vec<u8>> {
    let named = command.clone().display_name(name.to_string());
    let man = Man::new(named).title(name.to_uppercase()).manual("Cairn").source(SOURCE);
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut out)?;
    }
    if whole {
        out.extend_from_slice(FOR_SCRIPTS.as_bytes());
        out.extend_from_slice(FILES.as_bytes());
    }
    out.extend_from_slice(EXIT_STATUS.as_bytes());
    if whole {
        let pages: Vec<String> = visible(command).map(|c| format!(".BR cairn-{} (1)", c.get_name())).collect();
        out.extend_from_slice(format!(".SH \"SEE ALSO\"\n{}\n", pages.join(",\n")).as_bytes());
    } else {
        out.extend_from_slice(b".SH \"SEE ALSO\"\n.BR cairn (1)\n");
    }
    Ok(out)
}

fn reference(command: &Command) -> String {
    let mut text = String::from(
        "# The commands\n\nGenerated by `scripts/generate` from the command itself. Exit codes and what scripts can rely \
         on:\n[README](../README.md#for-scripts).\n",
    );
    let mut add = |name: &str, help: String| {
        let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(text, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n"));
    };
    add("cairn", command.clone().render_long_help().to_string());
    for (words, sub) in below(command, "cairn") {
        add(&words, sub.clone().render_long_help().to_string());
    }
    text
}
