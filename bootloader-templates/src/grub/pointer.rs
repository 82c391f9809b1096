//! The file that says which menu counts.

use serde::Serialize;

use crate::render::{TemplateError, refuse, render};

/// `grub.cfg` as a pointer to a menu that has a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pointer {
    /// The menu's name, without an ending: `NAME.cfg` and its copy `NAME.old` are beside the pointer.
    pub menu: String,
}

impl Pointer {
    /// The text.
    ///
    /// # Errors
    /// A name of something else than letters, digits and dashes.
    pub fn render(&self) -> Result<String, TemplateError> {
        if self.menu.is_empty() || !self.menu.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return refuse("menu", "something else than letters, digits and dashes", &self.menu);
        }
        render("grub/pointer.cfg", self)
    }

    /// The menu that a text points at; nothing where it is no pointer.
    pub fn parse(text: &str) -> Option<Pointer> {
        let (_, rest) = text.split_once("\"$prefix\"/'")?;
        let (menu, _) = rest.split_once("'.cfg")?;
        let plain = !menu.is_empty() && menu.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        plain.then(|| Pointer { menu: menu.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Golden of templates/grub/pointer.cfg.
    #[test]
    fn a_pointer_names_a_menu_and_its_copy() {
        let text = Pointer { menu: "menu-01ab".into() }.render().unwrap();
        assert_eq!(
            text,
            "# Made by Cairn. The menu is beside this file.\n\
             if [ -s \"$prefix\"/'menu-01ab'.cfg ]; then source \"$prefix\"/'menu-01ab'.cfg; fi\n\
             if [ \"$cairn_menu\" != complete ]; then source \"$prefix\"/'menu-01ab'.old; fi\n"
        );
        assert!(Pointer { menu: "a\"; reboot".into() }.render().is_err());
        assert_eq!(Pointer::parse(&text), Some(Pointer { menu: "menu-01ab".into() }));
        for other in ["", "set default=0\n", "source \"$prefix\"/'a/../b'.cfg", "source \"$prefix\"/''.cfg"] {
            assert_eq!(Pointer::parse(other), None, "{other}");
        }
    }
}
