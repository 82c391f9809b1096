//! `cairn init`: a commented machine file to start from.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use cairn_disk::output::{NewFile, OutputError};
use cairn_machine::{SourceFile, check, template};
use cairn_process::{Refusal, Usage};

use crate::args::InitArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: InitArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let hostname = match args.hostname {
        Some(name) => match wrong_with(&name) {
            Some(why) => return Err(Usage(format!("--hostname: {why}")).into()),
            None => name,
        },
        None => hostname_for(&args.file),
    };
    let text = template(&hostname);
    let path = args.file.display().to_string();
    if args.file.symlink_metadata().is_ok() {
        return Err(exists(&path));
    }
    let file = NewFile::create(&args.file)?;
    file.file().write_all(text.as_bytes()).with_context(|| format!("writing {path}"))?;
    file.commit_new().map_err(|error| match error {
        OutputError::Appeared { .. } => exists(&path),
        other => other.into(),
    })?;
    ui.line(&path)?;
    ui.report().note(&format!("edit {path}, then `cairn build {path}` and `cairn run {path}`"));
    Ok(Exit::Done)
}

fn exists(path: &str) -> anyhow::Error {
    Refusal(format!("{path} exists and is left as it is; give another name")).into()
}

/// `web.yaml` is probably about a machine called web.
fn hostname_for(file: &Path) -> String {
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_ascii_lowercase();
    if wrong_with(&stem).is_none() { stem } else { "machine".into() }
}

/// What the check says of a file with this host name, in one line; the rules are the machine file's.
fn wrong_with(hostname: &str) -> Option<String> {
    // Whatever would not stay one plain word in the file is no host name either.
    if hostname.is_empty() || !hostname.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
        return Some(format!("'{hostname}' is no host name: letters, digits, '-' and '.' only"));
    }
    let source = SourceFile::new("machine.yaml", template(hostname));
    let problems = check(&source, &mut |_| Err("not read".into())).err()?;
    problems.iter().next().map(|p| match &p.help {
        Some(help) => format!("{} ({help})", p.message),
        None => p.message.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_the_machine_where_it_can() {
        assert_eq!(hostname_for(Path::new("a/web.yaml")), "web");
        assert_eq!(hostname_for(Path::new("Web_1.yaml")), "machine");
        assert_eq!(hostname_for(Path::new("..")), "machine");
    }
}
