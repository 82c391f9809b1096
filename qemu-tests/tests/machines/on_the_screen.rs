//! The questions as a person sees them on the screen of a computer, and answers them on its keyboard. What is on the screen is read on the
//! serial line, where a shell runs meanwhile; pictures of it go to the folder that `CAIRN_PICTURES` names.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::machine::{CD, Disk, Firmware, USB};
use qemu_tests::{Cairn, Guest, Scenario};
use serde_json::json;

use crate::from_medium::{ANSWER, INSTALL, NEEDS, START, beside, is_what_was_asked_for, medium, target};
use crate::medium_in_use::chosen;

/// Not in every run.
pub const REST: &[Scenario] = &[
    Scenario { name: "installed from the medium: on the screen, by keys", needs: NEEDS, run: by_keys },
    Scenario { name: "the medium's questions on a screen of 80 and of 40 columns", needs: NEEDS, run: narrow },
];

/// Another window onto what happens on the screen.
struct Screen {
    guest: Guest,
}

impl Screen {
    /// Ends the questions on the serial line, and has a shell there.
    fn of(mut guest: Guest) -> Result<Screen> {
        guest.machine.wait_for("1 of 10  The language", START)?;
        guest.machine.type_line("\u{3}")?;
        guest.machine.wait_for("by typing s", ANSWER)?;
        guest.machine.type_line("s")?;
        guest.machine.wait_for("#", ANSWER)?;
        guest.machine.type_line("exec bash --noprofile --norc --noediting")?;
        guest.silence()?;
        Ok(Screen { guest })
    }

    /// Waits until the screen shows this, a regular expression; there are no ends of lines in it.
    fn shows(&mut self, words: &str, patience: Duration) -> Result<()> {
        let look = format!("tr -d '\\0' </dev/vcs1 | grep -qaP '{words}'");
        let shown = self.guest.until(&look, &format!("the screen does not show {words}"), patience);
        shown.or_else(|why| {
            let size = self.guest.run("stty -F /dev/tty1 size | cut -d ' ' -f 2")?;
            let screen = self.guest.run(&format!("fold -w {} /dev/vcs1", size.trim()))?;
            Err(why.context(screen))
        })
    }

    /// The same, and then types this and Enter.
    fn answer(&mut self, words: &str, text: &str) -> Result<()> {
        self.shows(words, ANSWER)?;
        self.guest.machine.qmp()?.type_text(&format!("{text}\n"))
    }

    fn press(&mut self, key: &str) -> Result<()> {
        self.guest.machine.qmp()?.press(key)
    }

    fn picture(&mut self, name: &str) -> Result<()> {
        let folder = std::env::var_os("CAIRN_PICTURES").map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| self.guest.machine.folder().to_path_buf());
        let file = folder.join(format!("{name}.png"));
        self.guest.machine.qmp()?.ask("screendump", &json!({"filename": file, "format": "png"}))?;
        ensure!(file.metadata()?.len() > 0, "there is no picture");
        Ok(())
    }
}

fn by_keys(cairn: &Cairn) -> Result<()> {
    let (_folder, target) = target(cairn)?;
    let setup = beside(Disk::new(&medium(cairn)?).on(USB), Disk::new(&target));
    let mut screen = Screen::of(Guest::of(setup.boot()?))?;
    screen.shows("1 of 10.*find:", ANSWER)?;
    screen.picture("language")?;
    screen.answer("1 of 10.*find:", "united k")?;
    screen.answer("2 of 10.*find:", "german (de")?;
    // The keys have moved at once.
    screen.shows("try the keyboard", ANSWER)?;
    screen.guest.machine.qmp()?.type_text("zy")?;
    screen.answer("try the keyboard.*yz", "")?;
    screen.answer("3 of 10.*find:", "berlin")?;
    screen.shows("4 of 10.*find:", ANSWER)?;
    screen.picture("disk")?;
    screen.answer("4 of 10.*find:", "")?;
    screen.answer("5 of 10.*find:", "")?;
    screen.shows("6 of 10.*find:", ANSWER)?;
    screen.press("esc")?;
    screen.answer("6 of 10.*5 of 10.*find:", "")?;
    screen.answer("5 of 10.*6 of 10.*5 of 10.*6 of 10.*find:", "")?;
    screen.answer("7 of 10.*\\[offered\\] > ", "a b")?;
    screen.answer("7 of 10.*a b.*\\[offered\\] > ", "newone")?;
    screen.answer("8 of 10.*> ", "anna")?;
    screen.answer("9 of 10.*> ", "secret")?;
    screen.answer("once more: ", "other")?;
    screen.answer("not the same.*> ", "secret")?;
    screen.answer("not the same.*once more: ", "secret")?;
    screen.answer("10 of 10.*\\[none\\] > ", "")?;
    screen.shows("What now.*find:", INSTALL)?;
    screen.picture("last-page")?;
    screen.answer("What now.*find:", "")?;
    // A disk that is there, and is not meant.
    screen.answer("type its name: target", "vda")?;
    screen.answer("type its name: target.*does not name.*> ", "target")?;
    screen.shows("Enter restarts the computer", INSTALL)?;
    screen.picture("done")?;
    screen.press("ret")?;
    is_what_was_asked_for(screen.guest, "newone")
}

/// By a BIOS and without a driver for the screen it has 80 columns and 25 lines; a terminal may have fewer.
fn narrow(cairn: &Cairn) -> Result<()> {
    let (folder, target) = target(cairn)?;
    let medium = chosen(&medium(cairn)?, &folder.path().join("cairn.iso"), "safe", "cairn.toram")?;
    let setup = beside(Disk::new(&medium).on(CD), Disk::new(&target)).firmware(Firmware::Bios);
    let mut screen = Screen::of(Guest::of(setup.boot()?))?;
    let size = screen.guest.run("stty -F /dev/tty1 size")?;
    ensure!(size.trim() == "25 80", "the screen is {size}");
    screen.shows("1 of 10.*find:", ANSWER)?;
    screen.picture("80-columns")?;
    screen.guest.run("stty -F /dev/tty1 columns 40")?;
    screen.answer("1 of 10.*find:", "")?;
    screen.answer("2 of 10.*find:", "")?;
    screen.answer("try the keyboard.*> ", "")?;
    screen.answer("3 of 10.*find:", "")?;
    screen.shows("4 of 10.*find:", ANSWER)?;
    screen.picture("40-columns")
}
