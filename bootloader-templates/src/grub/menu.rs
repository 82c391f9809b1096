//! From the values to the template: what is checked, and what the template sees.

use std::collections::BTreeSet;

use serde::Serialize;

use super::config::{Boots, Config, Extra, Generation, Kernel, Memtest, MenuStyle, Password, Trial, menu_path};
use super::quote::{id, path, words};
use super::serial::Serial;
use crate::render::{TemplateError, printable, refuse, render};

/// How many generations entry 0 falls back to when its files are gone.
const FALLBACKS: usize = 8;

#[derive(Serialize)]
struct Page {
    style: &'static str,
    timeout: i64,
    remember: bool,
    password: Option<Password>,
    serial: Option<Serial>,
    good: Line,
    trial: Option<TrialLine>,
    variants: Vec<Line>,
    all: Vec<Line>,
    fallback: Vec<Line>,
    memorable: Vec<Line>,
    extra: Vec<ExtraLine>,
    memtest: Option<Memtest>,
    other_systems: bool,
    firmware_setup: bool,
}

/// An entry that starts a kernel.
#[derive(Debug, Clone, Serialize)]
struct Line {
    id: String,
    /// The id as the menu is told it from outside the submenu.
    path: String,
    title: String,
    kernel: Option<KernelLine>,
    /// Whether it stays the default when it is chosen.
    remember: bool,
}

#[derive(Debug, Clone, Serialize)]
struct KernelLine {
    linux: String,
    initrd: Vec<String>,
    words: Vec<String>,
}

#[derive(Serialize)]
struct TrialLine {
    title: String,
    kernel: KernelLine,
    key: String,
    tries: u8,
}

#[derive(Serialize)]
struct ExtraLine {
    id: String,
    title: String,
    efi: Option<String>,
    /// Whether its partition is to be looked for.
    anywhere: bool,
    words: Vec<String>,
    kernel: Option<KernelLine>,
    restricted: bool,
    remember: bool,
}

impl Config {
    /// The text of `grub.cfg`.
    ///
    /// # Errors
    /// A value that the file cannot carry, a default or trial that is not among the generations, a name that is there
    /// twice.
    pub fn render(&self) -> Result<String, TemplateError> {
        render("grub/grub.cfg", self.page()?)
    }

    fn page(&self) -> Result<Page, TemplateError> {
        if let Some(password) = &self.password {
            check_password(password)?;
        }
        let default = self.find("default", &self.default)?;
        let mut all = Vec::new();
        for generation in &self.generations {
            all.extend(self.lines(generation)?);
        }
        let extra = self.extra.iter().map(|e| self.extra_line(e)).collect::<Result<Vec<_>, _>>()?;
        let mut ids = BTreeSet::new();
        for id in all.iter().map(|l| &l.id).chain(extra.iter().map(|e| &e.id)) {
            if !ids.insert(id) {
                return Err(TemplateError::Twice(id.clone()));
            }
        }
        let fallback = self.generations.iter().filter(|g| g.good && g.id != self.default).take(FALLBACKS);
        let fallback = fallback.map(|g| self.line(g)).collect::<Result<Vec<_>, _>>()?;
        let mut lines = self.lines(default)?.into_iter();
        let good = lines.next().ok_or_else(|| TemplateError::Unknown { what: "default", id: self.default.clone() })?;
        let variants = lines.map(|l| Line { id: l.id.replacen(&self.default, "cairn-default", 1), ..l }).collect();
        let mut memorable: Vec<Line> = all.iter().filter(|l| l.remember).cloned().collect();
        memorable.extend(extra.iter().filter(|e| e.remember).map(|e| Self::named(&e.id, e.kernel.clone())));
        if self.other_systems && self.remember {
            memorable.push(Self::named("cairn-windows", None));
        }
        if let Some(memtest) = &self.memtest {
            for program in memtest.bios.iter().chain(&memtest.efi) {
                path("memory test", program)?;
            }
        }
        Ok(Page {
            style: match self.style {
                MenuStyle::Shown | MenuStyle::Wait => "menu",
                MenuStyle::Hidden => "hidden",
                MenuStyle::Countdown => "countdown",
            },
            timeout: if self.style == MenuStyle::Wait { -1 } else { i64::from(self.timeout) },
            remember: self.remember,
            password: self.password.clone(),
            serial: self.serial,
            good,
            trial: self.trial.as_ref().map(|trial| self.trial_line(trial)).transpose()?,
            variants,
            all,
            fallback,
            memorable,
            extra,
            memtest: self.memtest.clone(),
            other_systems: self.other_systems,
            firmware_setup: self.firmware_setup,
        })
    }

    fn find(&self, what: &'static str, id: &str) -> Result<&Generation, TemplateError> {
        let found = self.generations.iter().find(|g| g.id == id);
        found.ok_or_else(|| TemplateError::Unknown { what, id: id.to_string() })
    }

    fn trial_line(&self, trial: &Trial) -> Result<TrialLine, TemplateError> {
        id("key", &trial.key)?;
        if !(1..=99).contains(&trial.tries) {
            return refuse("tries", "a number that is not 1 to 99", &trial.tries.to_string());
        }
        let generation = self.find("trial", &trial.id)?;
        let kernel = kernel_line(&generation.kernel)?;
        Ok(TrialLine { title: generation.title.clone(), kernel, key: trial.key.clone(), tries: trial.tries })
    }

    fn line(&self, generation: &Generation) -> Result<Line, TemplateError> {
        name("id", &generation.id)?;
        printable("title", &generation.title)?;
        Ok(Line {
            id: generation.id.clone(),
            path: menu_path(&generation.id),
            title: generation.title.clone(),
            kernel: Some(kernel_line(&generation.kernel)?),
            // To choose entry 0 is to forget what was chosen before.
            remember: self.remember && generation.good && generation.id != self.default,
        })
    }

    /// A generation and its variants.
    fn lines(&self, generation: &Generation) -> Result<Vec<Line>, TemplateError> {
        let mut lines = vec![self.line(generation)?];
        for variant in &generation.variants {
            name("variant", &variant.name)?;
            let id = format!("{}:{}", generation.id, variant.name);
            lines.push(Line {
                path: menu_path(&id),
                id,
                title: format!("{} ({})", generation.title, variant.name),
                kernel: Some(kernel_line(&variant.kernel)?),
                remember: self.remember && variant.good,
            });
        }
        Ok(lines)
    }

    fn extra_line(&self, extra: &Extra) -> Result<ExtraLine, TemplateError> {
        name("name", &extra.name)?;
        printable("title", &extra.title)?;
        let anywhere = matches!(extra.boots, Boots::EfiAnywhere { .. });
        let (efi, words, kernel) = match &extra.boots {
            Boots::Efi { path: program, options } => {
                path("efi", program)?;
                (Some(program.clone()), words("options", options)?, None)
            }
            Boots::EfiAnywhere { path: program } => {
                path("efi", program)?;
                (Some(program.clone()), Vec::new(), None)
            }
            Boots::Linux(kernel) => (None, Vec::new(), Some(kernel_line(kernel)?)),
        };
        let id = format!("extra-{}", extra.name);
        // What asks for the password would ask at each start.
        let (restricted, remember) = (extra.restricted, self.remember && !extra.restricted);
        Ok(ExtraLine { id, title: extra.title.clone(), efi, anywhere, words, kernel, restricted, remember })
    }

    /// An entry that may be remembered and is no generation.
    fn named(id: &str, kernel: Option<KernelLine>) -> Line {
        Line { id: id.to_string(), path: id.to_string(), title: String::new(), kernel, remember: true }
    }
}

/// Checks a part of an id. The colon stands between the parts.
fn name(field: &'static str, text: &str) -> Result<(), TemplateError> {
    id(field, text)?;
    if text.contains(':') { refuse(field, "a colon", text) } else { Ok(()) }
}

fn kernel_line(kernel: &Kernel) -> Result<KernelLine, TemplateError> {
    path("linux", &kernel.linux)?;
    for initrd in &kernel.initrd {
        path("initrd", initrd)?;
    }
    let words = words("options", &kernel.params)?;
    Ok(KernelLine { linux: kernel.linux.clone(), initrd: kernel.initrd.clone(), words })
}

fn check_password(password: &Password) -> Result<(), TemplateError> {
    name("user", &password.user)?;
    let parts: Vec<&str> = password.hash.split('.').collect();
    let digits = |text: &str, hex: bool| {
        !text.is_empty() && text.chars().all(|c| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() })
    };
    let right = parts.len() == 6
        && parts[..3] == ["grub", "pbkdf2", "sha512"]
        && digits(parts[3], false)
        && parts[4..].iter().all(|p| digits(p, true) && p.len() % 2 == 0);
    // The hash itself stays out of the message.
    if right { Ok(()) } else { refuse("password hash", "something else than grub-mkpasswd-pbkdf2 prints", "…") }
}
