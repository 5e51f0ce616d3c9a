//! What the peer has said of itself: for the whole link, and for groups and prefixes (R23).

use crate::domain::request::Scope;

/// Most groups and prefixes of one link that are remembered.
pub const MEMBERS_MAX: usize = 64;

/// The table has no room for another group or prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableFull;

/// Who of the peer's side is signed on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    /// What was said last for the whole link; `None` when nothing was.
    link: Option<bool>,
    /// Groups and prefixes, and whether each is signed on.
    members: Vec<(Scope, bool)>,
}

impl Members {
    /// Keeps what the peer says. What it says for the whole link replaces what it said for parts of it.
    ///
    /// # Errors
    /// The sign-on of one member too many; nothing has changed.
    pub fn set(&mut self, scope: Scope, on: bool) -> Result<(), TableFull> {
        if scope == Scope::Link {
            self.link = Some(on);
            self.members.clear();
            return Ok(());
        }
        if let Some(known) = self.members.iter_mut().find(|(known, _)| *known == scope) {
            known.1 = on;
            return Ok(());
        }
        if self.members.len() == MEMBERS_MAX {
            // Who has left makes room for who comes. Who leaves and never came needs none.
            let Some(left) = self.members.iter().position(|(_, on)| !on) else {
                return if on { Err(TableFull) } else { Ok(()) };
            };
            self.members.remove(left);
        }
        self.members.push((scope, on));
        Ok(())
    }

    /// Whether the link, or a part of it, is signed on.
    #[must_use]
    pub fn any_on(&self) -> bool {
        self.link == Some(true) || self.members.iter().any(|(_, on)| *on)
    }

    /// Whether the peer has signed off the whole link, and nothing of it has come back.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.link == Some(false) && !self.any_on()
    }

    /// A new session of ours: a sign-off that came before it counts no more.
    pub fn forget_sign_off(&mut self) {
        self.link = self.link.filter(|on| *on);
    }

    /// Groups and prefixes that were named, and whether each is signed on.
    #[must_use]
    pub fn listed(&self) -> &[(Scope, bool)] {
        &self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::MemberId;

    fn prefix(n: usize) -> Scope {
        Scope::Prefix(MemberId::new(n as u64, 11).expect("eleven digits"))
    }

    #[test]
    fn r23_a_link_is_signed_on_while_a_part_of_it_is() {
        let group = Scope::Group(MemberId::from_digits("00042").expect("digits"));
        let same_digits = Scope::Prefix(MemberId::from_digits("00042").expect("digits"));
        // Who, on or off, and then: is anything on, has the link left.
        let table = [
            (group, true, true, false),
            (same_digits, true, true, false),
            (group, false, true, false),
            (same_digits, false, false, false),
            (Scope::Link, true, true, false),
            (group, false, true, false),
            (Scope::Link, false, false, true),
            (group, true, true, false),
        ];
        let mut members = Members::default();
        for (n, (scope, on, any_on, has_left)) in table.into_iter().enumerate() {
            assert_eq!(members.set(scope, on), Ok(()));
            assert_eq!((members.any_on(), members.has_left()), (any_on, has_left), "row {n}");
        }
        assert_eq!(members.listed(), [(group, true)], "the whole link's word took the others' place");
    }

    #[test]
    fn r23_the_table_of_members_is_bounded() {
        let mut members = Members::default();
        for n in 0..MEMBERS_MAX {
            assert_eq!(members.set(prefix(n), true), Ok(()));
        }
        let before = members.clone();
        assert_eq!(members.set(prefix(MEMBERS_MAX), true), Err(TableFull));
        assert_eq!(members.set(prefix(MEMBERS_MAX), false), Ok(()), "who leaves needs no room");
        assert_eq!(members, before);
        assert_eq!(members.set(prefix(3), true), Ok(()), "who is known has room");
        assert_eq!(members.set(prefix(3), false), Ok(()));
        assert_eq!(members.set(prefix(MEMBERS_MAX), true), Ok(()), "who has left makes room");
        assert_eq!(members.listed().len(), MEMBERS_MAX);
    }
}
