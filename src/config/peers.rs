//! Who may connect to a link: addresses and networks.

use core::fmt;
use core::net::IpAddr;
use core::net::Ipv6Addr;

use crate::settings::Section;

/// A network by its address and the number of bits that count, such as 10.0.0.0/8; a single address has all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `127.0.0.1`, `fd00::/8` or `::1`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let wrong =
            || format!("\"{text}\" is no address such as 127.0.0.1 and no network such as 10.0.0.0/8");
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = width_of(address);
        let bits = match bits {
            None => width,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(wrong)?,
        };
        let network = Self { address: masked(address, bits), bits };
        if network.address != address {
            return Err(format!("\"{text}\" has bits set beyond its first {bits}; {network} is the network"));
        }
        Ok(network.unmapped())
    }

    /// Whether an address belongs to it. An IPv4 address that came in an IPv6 one is itself.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.bits) == self.address
    }

    /// The network of IPv4 addresses that is written as one of mapped IPv6 addresses.
    fn unmapped(self) -> Self {
        match (self.address.to_canonical(), self.address) {
            (address @ IpAddr::V4(_), IpAddr::V6(_)) if self.bits >= 96 => {
                Self { address, bits: self.bits - 96 }
            }
            _ => self,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

const fn width_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with its first bits only. An IPv4 address has no more than 32.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::from((address.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// Reads a list of them; `None` when it is absent.
pub(super) fn read(section: &Section<'_>, key: &str) -> Option<Vec<Network>> {
    let mut networks = Vec::new();
    for text in section.texts(key) {
        match Network::parse(text) {
            Ok(network) => networks.push(network),
            Err(message) => section.report_at(key, message),
        }
    }
    section.has(key).then_some(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_shares_its_bits() {
        let table = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.9", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("2001:db8::8000/113", "2001:db8::ffff", true),
            ("2001:db8::8000/113", "2001:db8::7fff", false),
            ("::1", "::1", true),
            ("::ffff:192.0.2.0/120", "192.0.2.77", true),
            ("::ffff:192.0.2.0/120", "192.0.3.77", false),
        ];
        for (network, address, contained) in table {
            let network = Network::parse(network).expect("a network");
            let address = address.parse().expect("an address");
            assert_eq!(network.contains(address), contained, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_told_so() {
        let table = [
            ("", "is no address"),
            ("localhost", "is no address"),
            ("10.0.0.0/33", "is no address"),
            ("10.0.0.0/", "is no address"),
            ("10.0.0.0/-1", "is no address"),
            ("::/129", "is no address"),
            ("10.0.0.1/8", "10.0.0.0/8 is the network"),
            ("fd00::1/8", "fd00::/8 is the network"),
        ];
        for (text, words) in table {
            let error = Network::parse(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
