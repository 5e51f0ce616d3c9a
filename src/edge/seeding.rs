//! Loads a seed file through the pipeline: journaled like anything else, once (R22).

use std::time::Duration;
use std::time::Instant;

use crate::config::seed::Seed;
use crate::domain::card::Verification;
use crate::domain::event::Event;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::edge::clock;
use crate::pipeline::core::Pipeline;
use crate::pipeline::seeding::NewAccount;
use crate::pipeline::seeding::NewCard;
use crate::pipeline::seeding::Opened;

/// Why a seed file was not loaded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SeedError {
    /// The data directory holds another.
    #[error(
        "{file} is not the seed file that this data directory was loaded with; name another data directory, or leave \
         --seed out"
    )]
    Another {
        /// The file.
        file: String,
    },
    /// It was being loaded when the daemon stopped, and is not named now.
    #[error(
        "the seed file of this data directory was loaded in part when the daemon stopped; start with the same file in \
         --seed, so that the rest is loaded too"
    )]
    Incomplete,
    /// A table is too small for it.
    #[error("{file} does not fit: raise `ledger.{setting}` in the configuration")]
    TooSmall {
        /// The file.
        file: String,
        /// The setting.
        setting: &'static str,
    },
    /// A card is open on another wallet.
    #[error("{file}: wallet {wallet} has a card that is open on another wallet")]
    Refused {
        /// The file.
        file: String,
        /// The wallet.
        wallet: u64,
    },
    /// The journal failed on the way.
    #[error("{file}: the journal failed while it was loaded; start again with the same file")]
    Journal {
        /// The file.
        file: String,
    },
}

/// Loads a seed file, or goes on with one that was being loaded when the daemon stopped. The same file a second time
/// changes nothing.
///
/// # Errors
/// Another file was loaded before, it does not fit, or the journal failed.
pub async fn load(
    pipeline: &Pipeline,
    file: &str,
    seed: &Seed,
    seeded: Option<Seeded>,
    verification: Verification,
) -> Result<(), SeedError> {
    match seeded {
        Some(before) if before.checksum != seed.checksum => {
            return Err(SeedError::Another { file: file.to_owned() });
        }
        Some(before) if before.complete => {
            tracing::info!(file, "this seed file is loaded already");
            return Ok(());
        }
        _ => {}
    }
    let began = Instant::now();
    let mark = |complete| Event::Seeded(Seeded { checksum: seed.checksum, lines: seed.lines, complete });
    commit(pipeline, file, &mark(false)).await?;
    let mut now = clock::now();
    for (n, account) in seed.accounts().iter().enumerate() {
        if n % 256 == 0 {
            now = clock::now();
            pipeline.wake_writer();
        }
        let new = NewAccount {
            wallet: account.wallet,
            currency: account.currency,
            balance: account.balance,
            overdraft: account.overdraft,
        };
        until_open(pipeline, file, account.wallet.0, || pipeline.open_account(&new, now)).await?;
    }
    for (n, card) in seed.cards().iter().enumerate() {
        if n % 256 == 0 {
            now = clock::now();
            pipeline.wake_writer();
        }
        let new = NewCard {
            wallet: card.wallet,
            pan: card.pan,
            expiry: card.expiry,
            service_code: card.service_code,
            status: card.status,
            verification,
            key: None,
        };
        until_open(pipeline, file, card.wallet.0, || pipeline.open_card(&new, now)).await?;
    }
    let last = commit(pipeline, file, &mark(true)).await?;
    while pipeline.durable() < last {
        if pipeline.has_failed() {
            return Err(SeedError::Journal { file: file.to_owned() });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (accounts, cards) = (seed.accounts().len(), seed.cards().len());
    tracing::info!(file, accounts, cards, ms = began.elapsed().as_millis() as u64, "seed file loaded");
    Ok(())
}

/// Tries until the journal has room.
async fn until_open(
    pipeline: &Pipeline,
    file: &str,
    wallet: u64,
    open: impl Fn() -> Opened,
) -> Result<(), SeedError> {
    loop {
        match open() {
            Opened::New | Opened::Already => return Ok(()),
            Opened::Full(setting) => return Err(SeedError::TooSmall { file: file.to_owned(), setting }),
            Opened::Refused | Opened::Under(_) => {
                return Err(SeedError::Refused { file: file.to_owned(), wallet });
            }
            Opened::Later => pause(pipeline, file).await?,
        }
    }
}

async fn commit(pipeline: &Pipeline, file: &str, event: &Event) -> Result<Sequence, SeedError> {
    loop {
        match pipeline.commit_to_all(event, clock::now()) {
            Some(sequence) => return Ok(sequence),
            None => pause(pipeline, file).await?,
        }
    }
}

async fn pause(pipeline: &Pipeline, file: &str) -> Result<(), SeedError> {
    if pipeline.has_failed() {
        return Err(SeedError::Journal { file: file.to_owned() });
    }
    pipeline.wake_writer();
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(())
}
