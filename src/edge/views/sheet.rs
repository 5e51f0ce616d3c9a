//! A page of a statement as CSV (RFC 4180): a header, the accounts before the page, its entries, the accounts after it.
//!
//! A spreadsheet takes a text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula. Texts that
//! somebody else wrote get an apostrophe before such a character, and so does one that begins with an apostrophe, so
//! that what was written can be had back: whoever reads the file takes one leading apostrophe off. Numbers are left
//! alone.

use csv::Terminator;
use csv::WriterBuilder;

use crate::edge::views::entries::DETAILS;
use crate::edge::views::entries::Detail;
use crate::edge::views::statement::Page;
use crate::ledger::shard::Account;

/// The columns before the details.
const COLUMNS: [&str; 10] = [
    "sequence",
    "time",
    "kind",
    "account",
    "currency",
    "amount",
    "held_change",
    "posted",
    "held",
    "available",
];

/// Begins of texts that spreadsheets do not take for texts.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

pub(super) fn csv(page: &Page) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    // Memory takes all that is written to it.
    let _ = writer.write_record(COLUMNS.iter().chain(&DETAILS));
    for account in &page.opening {
        let _ = writer.write_record(balance("opening", account));
    }
    for entry in &page.entries {
        let head = [entry.sequence.0.to_string(), entry.time.clone(), entry.kind.clone()];
        let changes = [entry.amount.to_string(), entry.held_change.to_string()];
        let [number, currency, posted, held, available] = fields(&entry.account);
        let details = entry.details.iter().map(|detail| match detail {
            Some(Detail::Number(number)) => number.to_string(),
            Some(Detail::Text(text)) => harmless(text),
            None => String::new(),
        });
        let row = head.into_iter().chain([number, currency]).chain(changes);
        let _ = writer.write_record(row.chain([posted, held, available]).chain(details));
    }
    for account in &page.closing {
        let _ = writer.write_record(balance("closing", account));
    }
    writer.into_inner().unwrap_or_default()
}

fn fields(account: &Account) -> [String; 5] {
    let Account { number, currency, posted, held, .. } = account;
    [
        number.to_string(),
        currency.to_string(),
        posted.to_string(),
        held.to_string(),
        account.available().to_string(),
    ]
}

/// A line that no record stands behind.
fn balance(kind: &str, account: &Account) -> Vec<String> {
    let [number, currency, posted, held, available] = fields(account);
    let empty = String::new;
    let mut row = vec![empty(), empty(), kind.to_owned(), number, currency, empty(), empty()];
    row.extend([posted, held, available]);
    row.resize(COLUMNS.len() + DETAILS.len(), String::new());
    row
}

fn harmless(text: &str) -> String {
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula_and_each_can_be_had_back() {
        let table = [
            ("rent", "rent"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+31 20", "'+31 20"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("'quoted'", "''quoted'"),
            ("a=1", "a=1"),
        ];
        for (text, shown) in table {
            assert_eq!(harmless(text), shown);
            assert_eq!(shown.strip_prefix('\'').unwrap_or(shown), text);
        }
    }
}
