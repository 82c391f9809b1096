//! The end of an installation that has failed: a page of it for the terminal, and all of it into a file and the log.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cairn_installer::install::medium;
use cairn_process::{Usage, go_on, left};
use serde_json::json;

use super::guided::is_screen;
use crate::args::InstallArgs;
use crate::exit::{Exit, Stopped, Told, exit_of, problems_in};
use crate::failure::Failure;
use crate::terminal::{is_terminal, size};
use crate::watched::Watched;
use crate::words::failure::{Halves, Place, page};

/// Where what has failed is kept, each by its code.
const KEPT: &str = "/var/lib/cairn/failures";
/// A terminal that does not say its size.
const USUAL: (usize, usize) = (80, 24);

/// What starts this computer.
pub fn firmware() -> &'static str {
    if Path::new("/sys/firmware/efi").exists() { "uefi" } else { "bios" }
}

/// Writes down how it has failed, and puts the page in front of the error, if it is worth one: what is wrong with a machine file, a wrong
/// use and the end of a conversation say all that there is to say, and so does a refusal to somebody who has typed what is refused.
pub fn told(error: anyhow::Error, args: &InstallArgs, computer: &str, watched: &Watched<'_>) -> anyhow::Error {
    // Whatever could not be read, it is that.
    let error = match medium::gone() {
        Some(why) => error.context(why),
        None => error,
    };
    let end = |more: serde_json::Value| {
        let mut fields = json!({ "ok": false, "error": format!("{error:#}") });
        if let (Some(fields), serde_json::Value::Object(more)) = (fields.as_object_mut(), more) {
            fields.extend(more);
        }
        watched.tell("end", fields);
    };
    let is = |what: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(what);
    let typed = args.file.is_some() && !medium::is_there() || args.apply.is_some() || args.undo.is_some();
    if go_on().is_err()
        || is(|cause| cause.is::<Usage>() || cause.is::<Stopped>())
        || !problems_in(&error).is_empty()
        || exit_of(&error) == Exit::Refused && typed
        || exit_of(&error) == Exit::Done
    {
        end(json!({}));
        return error;
    }
    let left = left().unwrap_or_else(|| "nothing was written to any disk".into());
    let step = watched.step().unwrap_or_else(|| "looking at this computer".into());
    let failure = Failure::of(&error, &step, &left, computer);
    end(json!({
        "code": failure.code(),
        "essentials": failure.essentials(),
        "step": failure.step,
        "ran": failure.ran,
        "cause": failure.cause,
        "left": failure.left,
        "help": failure.help,
    }));
    let mut log: Vec<String> = keep(&failure).map(|path| path.display().to_string()).into_iter().collect();
    log.extend(args.progress.as_ref().map(|path| path.display().to_string()));
    if medium::is_there() {
        log.push("the folder logs on the medium".into());
    }
    let place = place(args.manner());
    let page = page(&failure, &log, place);
    // What is no terminal may look for the one line that every other command ends with.
    let line = if place.is_none() { format!("cairn: {error:#}\n") } else { String::new() };
    error.context(Told(format!("{line}{page}")))
}

/// The terminal, if there is one.
fn place(said: Option<bool>) -> Option<Place> {
    if !is_terminal() {
        return None;
    }
    let (columns, rows) = size().unwrap_or(USUAL);
    let code = is_screen(said).then(|| halves(&|name| std::env::var(name).ok())).flatten();
    Some(Place { columns, rows, code })
}

/// Whether half blocks can be drawn; `None`: no blocks at all. The kernel's console has the whole ones in each of its fonts.
fn halves(variable: &dyn Fn(&str) -> Option<String>) -> Option<Halves> {
    if variable("TERM").as_deref() == Some("linux") {
        return Some(Halves(false));
    }
    // The first that says something counts (locale(7)).
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty())?;
    let locale = locale.to_lowercase();
    (locale.contains("utf-8") || locale.contains("utf8")).then_some(Halves(true))
}

/// Keeps all of it where only root reads it: what was said may name anything. The same failure once more takes the place of the last.
fn keep(failure: &Failure) -> Option<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(KEPT).ok()?;
    let path = Path::new(KEPT).join(format!("{}.txt", failure.code()));
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let text = format!("{}\n\n{}\n", failure.essentials(), page(failure, &[], None));
    file.and_then(|mut file| file.write_all(text.as_bytes())).ok()?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_blocks_are_for_screens_that_certainly_have_them() {
        let of = |variables: &[(&str, &str)]| {
            halves(&|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string()))
        };
        assert_eq!(of(&[("TERM", "linux"), ("LANG", "C.UTF-8")]), Some(Halves(false)));
        assert_eq!(of(&[("TERM", "xterm"), ("LANG", "de_DE.UTF-8")]), Some(Halves(true)));
        assert_eq!(of(&[("TERM", "xterm"), ("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]), None);
        assert_eq!(of(&[("TERM", "xterm"), ("LC_ALL", ""), ("LC_CTYPE", "en_GB.utf8")]), Some(Halves(true)));
        assert_eq!(of(&[("TERM", "xterm")]), None);
    }
}
