//! DE 39 of one dialect in the words of another. An approval is never guessed, and a decline never becomes one.

use crate::dialect::Dialect;
use crate::domain::action::ActionCode;

/// Codes that no table of ours has and every network takes: invalid merchant, pick up card, no such issuer, wrong PIN,
/// not permitted to terminal, security violation, too many PIN tries, no route.
const SHARED: [&[u8; 2]; 8] = [b"03", b"04", b"15", b"55", b"58", b"63", b"75", b"92"];
/// The purchase without its cash back.
pub(super) const PURCHASE_ONLY: [u8; 2] = *b"87";
/// Do not honour: what a decline becomes of which nobody knows more.
const DECLINED: [u8; 2] = *b"05";

impl Dialect {
    /// Whether DE 39 approves, in whole or in part: the table has it for an approval, or lists it among the codes of
    /// advices that tell of one.
    #[must_use]
    pub fn is_approval(&self, code: [u8; 2]) -> bool {
        self.action_of(code).map_or(self.approved_codes.contains(&code), ActionCode::is_approval)
    }

    /// Whether DE 39 approves all that was asked for, and cannot stand for a part of it.
    #[must_use]
    pub fn is_whole_approval(&self, code: [u8; 2]) -> bool {
        let in_part = || self.actions_of(code).any(|action| action == ActionCode::ApprovedPartially);
        self.is_approval(code) && code != PURCHASE_ONLY && !in_part()
    }

    /// The outcome that DE 39 stands for. Of several the one that the other dialect writes as the same code, so that a
    /// code which both have stays what it is.
    pub(super) fn action_towards(&self, code: [u8; 2], to: &Self) -> Option<ActionCode> {
        let first = self.action_of(code)?;
        let alike = |action: &ActionCode| {
            action.is_approval() == first.is_approval() && to.response_code(*action) == code
        };
        self.actions_of(code).find(alike).or(Some(first))
    }

    /// DE 39 in this dialect for a decline that another one wrote as `code`.
    pub(super) fn decline_of(&self, code: [u8; 2], action: Option<ActionCode>, refund: bool) -> [u8; 2] {
        let of_action = |action| if refund { self.refund_code(action) } else { self.response_code(action) };
        // Where refunds have codes of their own, they take no others.
        let narrow = refund && !self.refund_codes.is_empty();
        let written = match action {
            Some(action) => of_action(action),
            None if narrow => of_action(ActionCode::NotPermitted),
            None if SHARED.contains(&&code) => code,
            None => DECLINED,
        };
        if self.is_approval(written) { self.response_code(ActionCode::SystemMalfunction) } else { written }
    }

    /// DE 39 of a decline of which nothing is known but that.
    pub(super) fn plain_decline(&self) -> [u8; 2] {
        self.decline_of(DECLINED, None, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(name: &str) -> Dialect {
        Dialect::built_in(name).expect("compiled in")
    }

    #[test]
    fn a_code_stays_what_it_is_where_both_have_it_and_else_becomes_what_it_means() {
        // From, to, DE 39 of the party, and what whoever asked is told.
        let table = [
            ("visa", "mastercard", b"12", b"12"),
            ("visa", "mastercard", b"51", b"51"),
            ("visa", "mastercard", b"57", b"57"),
            ("visa", "mastercard", b"46", b"14"),
            ("visa", "mastercard", b"79", b"12"),
            ("visa", "mastercard", b"82", b"88"),
            ("mastercard", "visa", b"30", b"12"),
            ("mastercard", "visa", b"88", b"82"),
            // What only one network knows.
            ("visa", "mastercard", b"N7", b"05"),
            ("visa", "mastercard", b"1A", b"05"),
            ("mastercard", "visa", b"82", b"05"),
            ("mastercard", "visa", b"78", b"05"),
            ("iso87-ascii", "visa", b"  ", b"05"),
            // What all know.
            ("iso87-ascii", "visa", b"05", b"05"),
            ("iso87-ascii", "visa", b"55", b"55"),
            ("visa", "iso87-binary", b"75", b"75"),
        ];
        for (from, to, code, told) in table {
            let (from, to) = (dialect(from), dialect(to));
            let action = from.action_towards(*code, &to);
            let written = to.decline_of(*code, action, false);
            assert_eq!(written, *told, "{} to {}", from.name(), to.name());
        }
    }

    #[test]
    fn r15_a_refund_gets_only_what_its_network_takes_for_one() {
        let visa = dialect("visa");
        for code in [b"05", b"55", b"75", b"N7"] {
            assert_eq!(&visa.decline_of(*code, None, true), b"57");
        }
        assert_eq!(&visa.decline_of(*b"62", Some(ActionCode::WalletNotActive), true), b"57");
        assert_eq!(&dialect("mastercard").decline_of(*b"55", None, true), b"55");
    }

    #[test]
    fn a_decline_becomes_no_approval_even_where_a_table_is_wrong() {
        let table = include_str!("../tables/iso87-ascii.toml");
        let wrong = table.replace("insufficient-funds = \"51\"", "insufficient-funds = \"00\"");
        assert_ne!(table, wrong);
        let wrong = Dialect::from_toml("wrong.toml", &wrong).expect("a readable table");
        assert_eq!(&wrong.decline_of(*b"51", Some(ActionCode::InsufficientFunds), false), b"96");
    }
}
