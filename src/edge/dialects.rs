//! The dialects of links, from their files or from those compiled in, and every mistake in them with its place.

use std::path::Path;

use crate::config::Config;
use crate::config::link::LinkSettings;
use crate::dialect::Dialect;
use crate::dialect::MessageHeader;
use crate::dialect::answer::WriteError;
use crate::dialect::network::OwnRequest;
use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::forward::OwnKey;
use crate::domain::party::Rrn;
use crate::domain::request::NetworkManagement;
use crate::domain::request::Scope;
use crate::domain::request::Stan;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;
use crate::edge::text;
use crate::edge::text::FileError;
use crate::link::state::SignOn;
use crate::settings::Finding;
use crate::switch::card_file::CardFile;

/// A dialect from its file.
///
/// # Errors
/// The file cannot be read, or what is wrong in it.
pub fn from_file(file: &Path) -> Result<Dialect, FileError> {
    let text = text::read(file)?;
    Dialect::from_toml(&file.display().to_string(), &text).map_err(FileError::Wrong)
}

/// The dialect of a link, with the link's own limits.
///
/// # Errors
/// What is wrong in its file, or else what does not fit it at the link's keys.
pub fn of_link(config: &Config, link: &LinkSettings) -> Result<Dialect, Vec<Finding>> {
    let at = |key: &str, message: String| config.finding(&link.name, key, message);
    let dialect = match &link.dialect_file {
        Some(file) => from_file(file).map_err(|error| match error {
            FileError::Wrong(findings) => findings,
            FileError::Unreadable(cause) => {
                vec![at("dialect_file", format!("{} cannot be read: {cause}", file.display()))]
            }
        })?,
        None => Dialect::built_in(&link.dialect)
            .ok_or_else(|| vec![at("dialect", format!("there is no dialect `{}`", link.dialect))])?,
    };
    let mut findings = Vec::new();
    let mut framing = link.framing.as_ref().unwrap_or_else(|| dialect.framing()).clone();
    framing.max = link.max_frame_bytes;
    if framing.tpdu.is_some() && dialect.header() == MessageHeader::Visa {
        findings.push(at("framing", "a TPDU does not stand in front of Visa's header".to_owned()));
    }
    let mut dialect = dialect.with_framing(framing).with_sender(link.session.sender.clone());
    if let Some(station) = link.station_id {
        dialect = dialect.with_station(station);
    }
    for (key, message) in misfits(link, &dialect) {
        let finding = at(key, message);
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    if findings.is_empty() { Ok(dialect) } else { Err(findings) }
}

/// The records of a network's file of cards that its dialect cannot write.
fn unwritable(file: &CardFile, dialect: &Dialect) -> Vec<(CardStatus, WriteError)> {
    let own = OwnKey { stan: Stan(1), transmission: TransmissionTime::default() };
    let (rrn, expiry) = (Rrn::from_ascii(b"000000000001"), Expiry::new(2_912));
    let statuses = file.records.iter().map(|(status, _)| *status);
    let failed = statuses.filter_map(|status| {
        let elements = file.elements(status, own, rrn, expiry, Timestamp(0))?;
        let pan = Pan::from_value(4_000_000_000_000_002, 16).ok()?;
        Some((status, dialect.write_card_file(pan, &elements, false, &mut Vec::new()).err()?))
    });
    failed.collect()
}

/// What a link wants to send and its dialect cannot write, with the link's key that asks for it.
fn misfits(link: &LinkSettings, dialect: &Dialect) -> Vec<(&'static str, String)> {
    let ours = link.session.sign_on != SignOn::Peer;
    let mut misfits = Vec::new();
    let key = link.forward.party.match_on;
    for element in
        key.elements().filter(|element| key.is_named() && dialect.layout().field(*element).is_none())
    {
        let message =
            format!("`match_on` has DE {element}, and the dialect has not: no answer could agree in it");
        misfits.push(("forward", message));
    }
    for (status, error) in link.card_file.iter().flat_map(|file| unwritable(file, dialect)) {
        let message =
            format!("the dialect cannot write the record of a card that is {}: {error}", status.name());
        misfits.push(("card_file", message));
    }
    for &scope in &link.session.scopes {
        for what in [NetworkManagement::SignOn, NetworkManagement::SignOff] {
            if ours && !dialect.can_ask(what, scope) {
                let key = match scope {
                    Scope::Link => "sign_on",
                    Scope::Group(_) => "sign_on_group",
                    Scope::Prefix(_) => "sign_on_prefixes",
                };
                let message =
                    format!("the dialect's `network_management` has no code for {what:?} of {scope:?}");
                misfits.push((key, message));
                continue;
            }
            let request = OwnRequest { what, scope, now: Timestamp(0), stan: Stan(1), stations: (0, 0) };
            if let Err(error) = dialect.write_network_request(&request, &mut Vec::new()) {
                let key = match &error {
                    WriteError::Field { field: 33, .. } => "forwarding_id",
                    WriteError::Field { field: 94, .. } => "service_indicator",
                    WriteError::Field { field: 96, .. } => "security_code",
                    WriteError::Frame(_) => "max_frame_bytes",
                    WriteError::Field { .. } => "dialect",
                };
                misfits.push((key, format!("the dialect cannot write our 0800: {error}")));
            }
        }
    }
    misfits
}
