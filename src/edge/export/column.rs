//! The fields of a record's row, and what one may hold.

use std::fmt;

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The fields of records, in the order in which they are written.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Column {
            $($(#[$doc])* $name,)*
        }

        impl Column {
            /// The name of every field.
            pub(super) const NAMES: &[&str] = &[$($text,)*];
        }
    };
}

columns! {
    /// The record's number.
    Sequence = "sequence";
    /// When it was appended, RFC 3339 in UTC with nanoseconds.
    Time = "time";
    /// Which event.
    Kind = "kind";
    /// The slot; absent for a record that touches every slot or none.
    Slot = "slot";
    /// The wallet's number.
    Wallet = "wallet";
    /// The account's number in its wallet.
    Account = "account";
    /// The card's reference, the same in every record about it.
    Card = "card";
    /// The card number, first six and last four digits: where a card is opened, and of one that is not ours.
    Pan = "pan";
    /// YYMM.
    Expiry = "expiry";
    /// Of the card.
    ServiceCode = "service_code";
    /// Of the card or the wallet.
    Status = "status";
    /// What the card's product asks for.
    Verification = "verification";
    /// 01xx or 02xx.
    Class = "class";
    /// The MTI of a noted message.
    Mti = "mti";
    /// It came as a repeat.
    Repeat = "repeat";
    /// A reversal advice, not a request.
    Advice = "advice";
    /// The network's number.
    Network = "network";
    /// The link's number.
    Link = "link";
    /// DE 11.
    Stan = "stan";
    /// DE 7.
    Transmission = "transmission";
    /// DE 32.
    Acquirer = "acquirer";
    /// DE 37.
    Rrn = "rrn";
    /// DE 41.
    Terminal = "terminal";
    /// DE 42.
    Merchant = "merchant";
    /// The network's id of the transaction.
    NetworkReference = "network_reference";
    /// DE 3.
    ProcessingCode = "processing_code";
    /// DE 18.
    Mcc = "mcc";
    /// DE 19.
    Country = "country";
    /// DE 22.
    EntryMode = "entry_mode";
    /// How the card was used.
    Channel = "channel";
    /// DE 4, or what an account was funded with; minor units.
    Amount = "amount";
    /// DE 49, or the account's; ISO 4217 numeric.
    Currency = "currency";
    /// DE 6, minor units.
    BillingAmount = "billing_amount";
    /// DE 51.
    BillingCurrency = "billing_currency";
    /// What came to be verified, without its values.
    Presented = "presented";
    /// The request adds to an open authorization.
    Increment = "increment";
    /// What was found out before the decision, as a number.
    Facts = "facts";
    /// The outcome by its name.
    Action = "action";
    /// What an advice tells was approved.
    Approved = "approved";
    /// DE 38.
    ApprovalCode = "approval_code";
    /// Why the message was sent.
    Reason = "reason";
    /// What was done to the account.
    Effect = "effect";
    /// How much of it, minor units of the account.
    EffectAmount = "effect_amount";
    /// What is charged on top: the number of the tariff in its slot.
    Tariff = "tariff";
    /// The purchase was charged the flat part of its tariff before.
    TariffRest = "tariff_rest";
    /// The account's posted balance before.
    PostedBefore = "posted_before";
    /// What it had held before.
    HeldBefore = "held_before";
    /// How far below zero it may go.
    Overdraft = "overdraft";
    /// When the hold ends unless something ends it earlier.
    HoldUntil = "hold_until";
    /// DE 90: the original's class.
    OriginalClass = "original_class";
    /// DE 90: the original's DE 11.
    OriginalStan = "original_stan";
    /// DE 90: the original's DE 7.
    OriginalTransmission = "original_transmission";
    /// DE 90: the original's DE 32.
    OriginalAcquirer = "original_acquirer";
    /// The record of the authorization that a reversal undoes.
    Undoes = "undoes";
    /// The whole purchase is undone.
    Whole = "whole";
    /// What a partial reversal is to leave, minor units.
    Keeps = "keeps";
    /// Whose decision it undoes.
    Legs = "legs";
    /// The record of the authorization whose outcome an advice sets.
    Sets = "sets";
    /// The record of the authorization whose answer was not sent.
    Unanswered = "unanswered";
    /// The record of the authorization whose time was over.
    Expired = "expired";
    /// The record of the closed authorization that came back from the history.
    Recalled = "recalled";
    /// The number of a product: a card's from then on, or whose limit or control it is.
    Product = "product";
    /// Whether each card or each wallet of the product has the limit.
    Per = "per";
    /// A fee of a product, as one line.
    Fee = "fee";
    /// A time zone's number in its slot, as limits name it.
    Zone = "zone";
    /// Its name.
    ZoneName = "zone_name";
    /// From when on it is how far from UTC.
    ZoneChanges = "zone_changes";
    /// What became of a clearing record.
    Outcome = "outcome";
    /// What a clearing record is for.
    Purpose = "purpose";
    /// It is the reversal of a clearing record.
    Reversal = "reversal";
    /// Which part of its transaction a clearing record is.
    Part = "part";
    /// The acquirer's reference number of a clearing record.
    Arn = "arn";
    /// By what a clearing record was matched.
    MatchedBy = "matched_by";
    /// The record that a clearing record belongs to.
    Matches = "matches";
    /// Records of a clearing file that are posted.
    Records = "records";
    /// The number of the link that a message goes to.
    To = "to";
    /// DE 11 that we gave a message that goes on.
    OwnStan = "own_stan";
    /// DE 7 that we gave it.
    OwnTransmission = "own_transmission";
    /// The record of the request that was forwarded.
    Exchange = "exchange";
    /// How a forwarded request ended.
    Ended = "ended";
    /// DE 39 as the party wrote it.
    ResponseCode = "response_code";
    /// The record that stored a message.
    Stored = "stored";
    /// What became of a stored message.
    Settlement = "settlement";
    /// What a verb did: fund, withdraw, transfer and so on.
    Verb = "verb";
    /// The wallet that money went to.
    ToWallet = "to_wallet";
    /// Its account.
    ToAccount = "to_account";
    /// What of a movement went to the fee account, or came from it.
    FeeAmount = "fee_amount";
    /// The record of the payment that a refund gives back.
    Refunds = "refunds";
    /// The record of the mandate that a charge is by, or that was cancelled.
    Mandate = "mandate";
    /// How often a mandate may be charged, and how long.
    Terms = "terms";
    /// The code of an asset.
    AssetCode = "asset_code";
    /// What an asset is called.
    AssetName = "asset_name";
    /// What is turned into `to_currency`'s, after a conversion.
    ToAmount = "to_amount";
    /// What something is turned into.
    ToCurrency = "to_currency";
    /// How much of `to_currency` one of `currency` is worth.
    Price = "price";
    /// What the customer gets less, millionths.
    SpreadPpm = "spread_ppm";
    /// The record that set the rate.
    Rate = "rate";
    /// In which order accounts are spent.
    Spending = "spending";
    /// What an account earns in a year, millionths of its balance.
    InterestPpm = "interest_ppm";
    /// How many days the year of interest has.
    DayCount = "day_count";
    /// When interest is paid out.
    PaidOut = "paid_out";
    /// The last day that interest was paid for.
    Through = "through";
    /// Parts of a unit that are left for the next time.
    PartsLeft = "parts_left";
    /// What further accounts bear.
    Shares = "shares";
    /// The currency of the account that was opened with it.
    Opens = "opens";
    /// Why, in the caller's words.
    Words = "words";
    /// Stands for the caller's name of a verb.
    CallerKey = "caller_key";
    /// Of a limit or a control of a card or a wallet: 1 to 16.
    Number = "number";
    /// The limit that was set; absent when it was removed.
    Limit = "limit";
    /// The control that was set; absent when it was removed.
    Control = "control";
    /// The checksum of the configuration; its low half in records that were made under it.
    Configuration = "configuration";
    /// From the read of the last byte to the decision, microseconds.
    DecidedAfterUs = "decided_after_us";
    /// Of the seed file or a clearing file.
    Checksum = "checksum";
    /// Of the seed file, lines with data; of a clearing file, presentments.
    Lines = "lines";
    /// Every line of the file is loaded or posted.
    Complete = "complete";
    /// A bound of the ledger; so are the next four.
    RepeatWindowS = "repeat_window_s";
    /// Answered declines kept for each slot.
    AnswersPerSlot = "answers_per_slot";
    /// Closed authorizations kept for each slot.
    ClosedPerSlot = "closed_per_slot";
    /// For how long.
    ClosedWindowS = "closed_window_s";
    /// Authorizations of one card.
    AuthorizationsPerCard = "authorizations_per_card";
    /// For how long callers' keys are remembered.
    KeyWindowS = "key_window_s";
    /// Before when callers' keys may have been forgotten under a shorter window.
    KeysSince = "keys_since";
}

/// One value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    /// A whole number.
    Number(i128),
    /// A text, fit for a terminal and without a card number.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}
