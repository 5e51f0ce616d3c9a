//! The seed file (R22): the wallets, accounts and cards that an empty ledger begins with.
//!
//! CSV with the columns of [`COLUMNS`]. Each line names a wallet's account in one currency and a card of that wallet;
//! a wallet with two cards or two currencies has several lines. The whole file is checked before anything is loaded:
//! every bad line is named, and card numbers are never shown whole.

use std::collections::BTreeMap;

use csv::ByteRecord;
use xxhash_rust::xxh3::xxh3_128;

use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::card::PanError;
use crate::domain::card::ServiceCode;
use crate::domain::money::Currency;
use crate::domain::party::WalletId;
use crate::domain::time::Expiry;
use crate::settings::Finding;

/// The heading of a seed file.
pub const COLUMNS: [&str; 8] =
    ["wallet", "currency", "balance", "overdraft", "pan", "expiry", "service_code", "status"];

/// Most findings that are told. A file of another kind would have one on every line.
const FINDINGS_MAX: usize = 100;

/// Largest balance or overdraft of one account, minor units: far above DE 4, far below what could overflow.
const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// What all balances of one currency may add up to, minor units: the funding account has the opposite sum.
const FUNDING_MAX: i128 = (i64::MAX / 4) as i128;

/// An account to open and fund.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeedAccount {
    /// Whose account it is.
    pub wallet: WalletId,
    /// What is put in, minor units.
    pub balance: i64,
    /// How far below zero it may go, minor units.
    pub overdraft: i64,
    /// Its currency.
    pub currency: Currency,
    has_balance: bool,
    has_overdraft: bool,
    line: u32,
}

/// A card to open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeedCard {
    /// Whose card it is.
    pub wallet: WalletId,
    /// Its number.
    pub pan: Pan,
    /// Its month.
    pub expiry: Expiry,
    /// From the track.
    pub service_code: ServiceCode,
    /// Whether it may be used.
    pub status: CardStatus,
    line: u32,
}

/// One wallet of the file.
#[derive(Clone, Copy, Debug)]
pub struct SeedWallet<'s> {
    /// Its number.
    pub wallet: WalletId,
    /// Its accounts, numbered from 0, in the order in which the file names them first. At least one.
    pub accounts: &'s [SeedAccount],
    /// Its cards in the order in which the file names them first. At least one.
    pub cards: &'s [SeedCard],
}

/// A seed file that is right as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seed {
    /// Checksum of the file: the same file is loaded once.
    pub checksum: u128,
    /// Lines with data.
    pub lines: u64,
    // Both in the order of wallets, then lines. Every wallet is in both.
    accounts: Vec<SeedAccount>,
    cards: Vec<SeedCard>,
}

impl Seed {
    /// Reads a seed file's bytes. `file` is its name for the findings.
    ///
    /// # Errors
    /// What is wrong, in the order of lines, at most 100 findings. No finding shows a card number.
    pub fn from_csv(file: &str, text: &[u8]) -> Result<Self, Vec<Finding>> {
        let mut findings = Findings { file, found: Vec::new(), more: false };
        let (mut accounts, mut cards) = read_lines(text, &mut findings);
        let lines = accounts.len() as u64;
        // With lines missing, what the others say together would be judged wrongly.
        if findings.found.is_empty() {
            merge_accounts(&mut accounts, &mut findings);
            merge_cards(&mut cards, &mut findings);
            check_sums(&accounts, &mut findings);
        }
        if !findings.found.is_empty() {
            return Err(findings.sorted());
        }
        Ok(Self { checksum: xxh3_128(text), lines, accounts, cards })
    }

    /// Every wallet, by rising number.
    pub fn wallets(&self) -> impl Iterator<Item = SeedWallet<'_>> {
        let accounts = self.accounts.chunk_by(|one, next| one.wallet == next.wallet);
        let cards = self.cards.chunk_by(|one, next| one.wallet == next.wallet);
        accounts.zip(cards).map(|(accounts, cards)| SeedWallet {
            wallet: accounts[0].wallet,
            accounts,
            cards,
        })
    }

    /// Every account, by rising wallet, then by its number in the wallet.
    #[must_use]
    pub fn accounts(&self) -> &[SeedAccount] {
        &self.accounts
    }

    /// Every card, by rising wallet, then in the order of the file.
    #[must_use]
    pub fn cards(&self) -> &[SeedCard] {
        &self.cards
    }
}

/// What was found so far. Files are long, so only the first are kept.
struct Findings<'f> {
    file: &'f str,
    found: Vec<Finding>,
    more: bool,
}

impl Findings<'_> {
    fn add(&mut self, line: u32, column: usize, message: impl Into<String>) {
        if self.found.len() == FINDINGS_MAX {
            self.more = true;
            return;
        }
        let (file, line) = (self.file.to_owned(), line as usize);
        self.found.push(Finding { file, line, column, message: message.into() });
    }

    fn is_full(&self) -> bool {
        self.more
    }

    fn sorted(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| (finding.line, finding.column));
        if let Some(last) = self.found.last_mut().filter(|_| self.more) {
            last.message.push_str("; there is more, which is not shown");
        }
        self.found
    }
}

fn read_lines(text: &[u8], findings: &mut Findings<'_>) -> (Vec<SeedAccount>, Vec<SeedCard>) {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).quoting(false).from_reader(text);
    let mut record = ByteRecord::new();
    let (mut accounts, mut cards) = (Vec::new(), Vec::new());
    if !matches!(reader.read_byte_record(&mut record), Ok(true))
        || !record.iter().eq(COLUMNS.map(str::as_bytes))
    {
        findings.add(1, 1, format!("the first line must be {}", COLUMNS.join(",")));
        return (accounts, cards);
    }
    // Reading from memory cannot fail, and in flexible mode no number of fields is an error of the reader.
    while !findings.is_full() && matches!(reader.read_byte_record(&mut record), Ok(true)) {
        let line = record.position().map_or(0, csv::Position::line);
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        if let Some((account, card)) = read_line(&record, line, findings) {
            accounts.push(account);
            cards.push(card);
        }
    }
    (accounts, cards)
}

/// Reads one line; `None` when something in it is wrong, which is then reported. All of it is looked at.
fn read_line(record: &ByteRecord, line: u32, findings: &mut Findings<'_>) -> Option<(SeedAccount, SeedCard)> {
    if record.len() != COLUMNS.len() {
        findings.add(line, 1, format!("{} fields, where {} are needed", record.len(), COLUMNS.len()));
        return None;
    }
    let mut fields = Fields { record, line, findings };
    let wallet =
        fields.read(0, "a wallet's number, from 1", |field| digits(field, 1..=20).filter(|n| *n > 0));
    let currency = fields.read(1, "an ISO 4217 numeric code of three digits", |field| {
        Currency::new(u16::try_from(digits(field, 3..=3)?).ok()?)
    });
    let balance = fields.read(2, "an amount in minor units, or nothing", amount);
    let overdraft = fields.read(3, "an amount in minor units, zero or more, or nothing", |field| {
        amount(field).filter(|overdraft| overdraft.is_none_or(|overdraft| overdraft >= 0))
    });
    let pan = fields.pan(4);
    let expiry = fields.read(5, "a year and month such as 2912", |field| {
        Expiry::new(u16::try_from(digits(field, 4..=4)?).ok()?)
    });
    let service_code = fields.read(6, "a service code of three digits", |field| {
        Some(ServiceCode(u16::try_from(digits(field, 3..=3)?).ok()?))
    });
    let status = fields.read(7, "active, frozen, lost, stolen or closed", |field| {
        CardStatus::from_name(str::from_utf8(field).ok()?)
    });
    let wallet = WalletId(wallet?);
    let (balance, overdraft) = (balance?, overdraft?);
    let account = SeedAccount {
        wallet,
        balance: balance.unwrap_or(0),
        overdraft: overdraft.unwrap_or(0),
        currency: currency?,
        has_balance: balance.is_some(),
        has_overdraft: overdraft.is_some(),
        line,
    };
    let card =
        SeedCard { wallet, pan: pan?, expiry: expiry?, service_code: service_code?, status: status?, line };
    Some((account, card))
}

/// The fields of one line. A finding never shows what a field holds: with a column missing it could be a card number.
struct Fields<'r, 'f> {
    record: &'r ByteRecord,
    line: u32,
    findings: &'r mut Findings<'f>,
}

impl Fields<'_, '_> {
    fn read<T>(&mut self, index: usize, wanted: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let value = read(&self.record[index]);
        if value.is_none() {
            self.report(index, &format!("`{}` must be {wanted}", COLUMNS[index]));
        }
        value
    }

    fn pan(&mut self, index: usize) -> Option<Pan> {
        let pan: Result<Pan, PanError> = Pan::from_ascii(&self.record[index]);
        pan.inspect_err(|error| self.report(index, &error.to_string())).ok()
    }

    fn report(&mut self, index: usize, message: &str) {
        // Without quoting, fields stand as they were written.
        let column = (0..index).map(|before| self.record[before].len() + 1).sum::<usize>() + 1;
        self.findings.add(self.line, column, message);
    }
}

fn digits(field: &[u8], length: std::ops::RangeInclusive<usize>) -> Option<u64> {
    if !length.contains(&field.len()) || !field.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(field).ok()?.parse().ok()
}

/// An amount, or nothing where the field is empty.
fn amount(field: &[u8]) -> Option<Option<i64>> {
    if field.is_empty() {
        return Some(None);
    }
    let amount: i64 = str::from_utf8(field).ok()?.parse().ok()?;
    (-AMOUNT_MAX..=AMOUNT_MAX).contains(&amount).then_some(Some(amount))
}

/// Makes one of all lines that name a wallet's account in a currency. It is funded by one value.
fn merge_accounts(accounts: &mut Vec<SeedAccount>, findings: &mut Findings<'_>) {
    accounts.sort_unstable_by_key(|account| (account.wallet, account.currency, account.line));
    accounts.dedup_by(|next, kept| {
        if (next.wallet, next.currency) != (kept.wallet, kept.currency) {
            return false;
        }
        let (first, again) = (kept.line, next.line);
        if next.has_balance && kept.has_balance && next.balance != kept.balance {
            findings.add(
                again,
                1,
                format!("another balance than line {first} gives the same wallet and currency"),
            );
        }
        if next.has_overdraft && kept.has_overdraft && next.overdraft != kept.overdraft {
            findings.add(
                again,
                1,
                format!("another overdraft than line {first} gives the same wallet and currency"),
            );
        }
        if next.has_balance && !kept.has_balance {
            (kept.balance, kept.has_balance) = (next.balance, true);
        }
        if next.has_overdraft && !kept.has_overdraft {
            (kept.overdraft, kept.has_overdraft) = (next.overdraft, true);
        }
        true
    });
    for account in accounts.iter().filter(|account| !account.has_balance) {
        findings.add(account.line, 1, "no line gives this wallet and currency a balance; it may be 0");
    }
    accounts.sort_unstable_by_key(|account| (account.wallet, account.line));
}

/// Makes one of all lines that name a card. It belongs to one wallet, and all say the same of it.
fn merge_cards(cards: &mut Vec<SeedCard>, findings: &mut Findings<'_>) {
    cards.sort_unstable_by_key(|card| (card.pan.value(), card.pan.digits(), card.line));
    cards.dedup_by(|next, kept| {
        if next.pan != kept.pan {
            return false;
        }
        let (first, again) = (kept.line, next.line);
        if next.wallet != kept.wallet {
            findings.add(again, 1, format!("card {:?} is on another wallet in line {first}", next.pan));
        } else if (next.expiry, next.service_code, next.status)
            != (kept.expiry, kept.service_code, kept.status)
        {
            findings.add(again, 1, format!("card {:?} is described otherwise in line {first}", next.pan));
        }
        true
    });
    cards.sort_unstable_by_key(|card| (card.wallet, card.line));
}

fn check_sums(accounts: &[SeedAccount], findings: &mut Findings<'_>) {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for account in accounts {
        *sums.entry(account.currency).or_default() += i128::from(account.balance);
    }
    for (currency, _) in sums.iter().filter(|(_, sum)| sum.abs() > FUNDING_MAX) {
        findings.add(1, 1, format!("the balances of currency {currency} add up to more than {FUNDING_MAX}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISA: &str = "4111111111111111";
    const MASTERCARD: &str = "5555555555554444";

    fn file(lines: &[String]) -> String {
        format!("{}\n{}\n", COLUMNS.join(","), lines.join("\n"))
    }

    fn line(wallet: u64, currency: &str, balance: &str, pan: &str) -> String {
        format!("{wallet},{currency},{balance},0,{pan},2912,201,active")
    }

    fn findings(text: &str) -> Vec<String> {
        let findings = Seed::from_csv("s.csv", text.as_bytes()).err().unwrap_or_default();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn r22_wallets_come_in_order_with_their_accounts_and_cards() {
        let lines = [
            line(7, "978", "5", VISA),
            line(2, "840", "", MASTERCARD),
            line(7, "840", "-9", VISA),
            line(2, "840", "100", "5204740000001010"),
            line(2, "840", "100", MASTERCARD),
        ];
        let seed = Seed::from_csv("s.csv", file(&lines).as_bytes()).expect("a right file");
        assert_eq!(seed.lines, 5);
        let shown: Vec<String> = seed
            .wallets()
            .map(|wallet| {
                let accounts: Vec<_> = wallet.accounts.iter().map(|a| (a.currency, a.balance)).collect();
                let cards: Vec<_> = wallet.cards.iter().map(|card| card.pan).collect();
                format!("{} {accounts:?} {cards:?}", wallet.wallet.0)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "2 [(840, 100)] [555555******4444, 520474******1010]",
                "7 [(978, 5), (840, -9)] [411111******1111]",
            ]
        );
        assert_eq!((seed.accounts().len(), seed.cards().len()), (3, 3));
    }

    #[test]
    fn r22_what_two_lines_cannot_say_together_names_both() {
        let table = [
            (
                [line(1, "840", "5", VISA), line(1, "840", "6", VISA)],
                "s.csv:3:1: another balance than line 2",
            ),
            (
                [line(1, "840", "5", VISA), line(2, "840", "5", VISA)],
                "s.csv:3:1: card 411111******1111 is on another wallet in line 2",
            ),
            (
                [line(1, "840", "5", VISA), line(1, "978", "5", VISA).replace("2912", "2911")],
                "s.csv:3:1: card 411111******1111 is described otherwise in line 2",
            ),
            (
                [line(1, "840", "5", VISA), line(1, "840", "", VISA).replace(",0,", ",1,")],
                "s.csv:3:1: another overdraft than line 2",
            ),
            ([line(1, "840", "", VISA), line(1, "978", "0", VISA)], "s.csv:2:1: no line gives"),
        ];
        for (lines, words) in table {
            let findings = findings(&file(&lines));
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].starts_with(words), "{findings:?}");
        }
    }

    #[test]
    fn r22_every_bad_field_is_named_with_its_place() {
        let right = "1,840,5,0,4111111111111111,2912,201,active";
        let table = [
            (right.replacen('1', "0", 1), 1, "`wallet`"),
            (right.replacen('1', "18446744073709551616", 1), 1, "`wallet`"),
            (right.replace("840", "84"), 3, "`currency`"),
            (right.replace(",5,", ",5.00,"), 7, "`balance`"),
            (right.replace(",5,", ",9223372036854775807,"), 7, "`balance`"),
            (right.replace(",0,", ",-1,"), 9, "`overdraft`"),
            (right.replace(VISA, "4111111x11111111"), 11, "decimal digits"),
            (right.replace(VISA, "411"), 11, "8 to 19 digits"),
            (right.replace("2912", "2913"), 28, "`expiry`"),
            (right.replace("201", "21"), 33, "`service_code`"),
            (right.replace("active", "Active"), 37, "`status`"),
            (right.replace(",201", ""), 1, "7 fields, where 8 are needed"),
        ];
        assert_eq!(findings(&file(&[right.to_owned()])), [""; 0]);
        for (line, column, words) in table {
            let findings = findings(&file(&[right.to_owned(), line]));
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].starts_with(&format!("s.csv:3:{column}: ")), "{findings:?}");
            assert!(findings[0].contains(words), "{findings:?}");
        }
    }

    #[test]
    fn a_file_of_another_kind_is_told_in_few_words() {
        for text in ["", "\n", "wallet;currency\n", "\0\u{ff}"] {
            let findings = findings(text);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].starts_with("s.csv:1:1: the first line must be wallet,currency,"));
        }
        let findings = findings(&file(&vec![VISA.to_owned(); 100_000]));
        assert_eq!(findings.len(), FINDINGS_MAX);
        assert!(findings[FINDINGS_MAX - 1].ends_with("there is more, which is not shown"));
        assert!(findings.iter().all(|finding| !finding.contains(VISA)));
    }

    #[test]
    fn what_would_overflow_the_funding_account_is_refused() {
        let lines: Vec<String> = (0..3_000)
            .map(|n| line(n + 1, "840", "1000000000000000", &format!("{}", 400_000_000_000 + n)))
            .collect();
        let findings = findings(&file(&lines));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("currency 840 add up"), "{findings:?}");
    }

    #[test]
    fn equal_files_have_equal_checksums() {
        let one = file(&[line(1, "840", "5", VISA)]);
        let other = file(&[line(1, "840", "6", VISA)]);
        let checksum = |text: &str| Seed::from_csv("s.csv", text.as_bytes()).map(|seed| seed.checksum);
        assert_eq!(checksum(&one), checksum(&one));
        assert_ne!(checksum(&one), checksum(&other));
    }
}
