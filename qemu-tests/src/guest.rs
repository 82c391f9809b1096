//! A machine with somebody at its serial console: logged in as root, running commands, restarting it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::{Machine, Setup};

/// An emulated machine on a busy computer.
const BOOT: Duration = Duration::from_secs(600);
const ANSWER: Duration = Duration::from_secs(300);
const COMMAND: Duration = Duration::from_secs(600);

/// The machine, and a root shell on its console that echoes nothing and has no prompt.
#[derive(Debug)]
pub struct Guest {
    /// The machine itself.
    pub machine: Machine,
    /// How many commands there were: each has a mark of its own.
    count: usize,
}

impl Guest {
    /// Boots it, and logs in.
    pub fn start(setup: &Setup) -> Result<Guest> {
        let mut guest = Guest::of(setup.boot()?);
        guest.log_in()?;
        Ok(guest)
    }

    /// Of a machine that is still on its way to a prompt; nobody is logged in.
    pub fn of(machine: Machine) -> Guest {
        Guest { machine, count: 0 }
    }

    /// Waits for the next prompt, logs in as the examples' user and becomes root. Returns what the console said until the
    /// prompt.
    pub fn log_in(&mut self) -> Result<String> {
        let from = self.machine.said.len();
        self.machine.wait_for(" login: ", BOOT)?;
        let before = self.machine.said[from..].to_string();
        self.machine.type_line("cairn")?;
        self.machine.wait_for("Password: ", ANSWER)?;
        self.machine.type_line("cairn")?;
        self.machine.wait_for("$", ANSWER)?;
        // One sudo only: each costs seconds of an emulated processor. It reads no more than the password, and the shell the rest.
        self.machine.type_line("exec sudo -S -p 'who-''asks-' bash --noprofile --norc --noediting")?;
        self.machine.wait_for("who-asks-", ANSWER)?;
        self.machine.type_line("cairn")?;
        self.silence()?;
        Ok(before)
    }

    /// Waits for a shell of root's, and lets it say nothing but what it is asked.
    pub fn silence(&mut self) -> Result<()> {
        self.machine.wait_for("#", ANSWER)?;
        self.machine
            .type_line("PS1=; PS2=; stty -echo; dmesg -n 1; export LC_ALL=C.UTF-8 PAGER=cat; echo now-''silent-")?;
        self.machine.wait_for("now-silent-", ANSWER)
    }

    /// Runs a command as root: its exit code, and all that it said.
    pub fn ask(&mut self, command: &str) -> Result<(i32, String)> {
        self.count += 1;
        let (begin, end) = (format!("<{}<", self.count), format!(">{}>", self.count));
        self.machine.type_line(&format!("echo '{begin}'; {{ {command}\n}} 2>&1; echo \"{end}$?;\""))?;
        let from = self.machine.said.len();
        self.machine.wait_for(&end, COMMAND).with_context(|| format!("running {command}"))?;
        self.machine.wait_for(";", ANSWER)?;
        let said = self.machine.said[from..].replace('\r', "");
        let (_, rest) = said.split_once(&format!("{begin}\n")).with_context(|| format!("'{command}' said {said}"))?;
        let (words, code) = rest.rsplit_once(&end).with_context(|| format!("'{command}' said {rest}"))?;
        let code = code.split(';').next().unwrap_or_default().trim();
        let code = code.parse().with_context(|| format!("'{command}' ended with '{code}'"))?;
        Ok((code, words.to_string()))
    }

    /// Runs a command that must succeed: all that it said.
    pub fn run(&mut self, command: &str) -> Result<String> {
        match self.ask(command)? {
            (0, words) => Ok(words),
            (code, words) => bail!("'{command}' ended with {code} and said:\n{words}"),
        }
    }

    /// Runs a command that must fail, and say these words.
    pub fn refused(&mut self, command: &str, words: &str) -> Result<()> {
        let (code, said) = self.ask(command)?;
        ensure!(code != 0 && said.contains(words), "'{command}' ended with {code} and said:\n{said}");
        Ok(())
    }

    /// Restarts it and logs in again. Returns what the console said until the prompt.
    pub fn reboot(&mut self) -> Result<String> {
        self.machine.type_line("systemctl reboot")?;
        self.log_in()
    }

    /// The generation that runs, and whether on trial.
    pub fn booted(&mut self) -> Result<(u64, bool)> {
        let line = self.run("cat /proc/cmdline")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words.iter().find_map(|word| word.strip_prefix("cairn.generation="));
        let number = number.and_then(|n| n.parse().ok()).with_context(|| format!("no generation in {line}"))?;
        Ok((number, words.contains(&"cairn.trial")))
    }

    /// Waits until a command succeeds; `what` is said when it does not.
    pub fn until(&mut self, command: &str, what: &str, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let (code, words) = self.ask(command)?;
            if code == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{what}: '{command}' ended with {code} and said:\n{words}");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Switches it off.
    pub fn power_off(mut self) -> Result<()> {
        self.machine.type_line("systemctl poweroff")?;
        self.machine.wait_for_end(Duration::from_secs(180))
    }
}
