//! Networks in CIDR notation, and the addresses that are in them.
//!
//! An IPv4 address that is written as an IPv6 one (`::ffff:192.0.2.1`) is the IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sqlparser::tokenizer::Location;

use crate::errors::{Checked, Problem, quoted};

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Reads `address/bits`; an address alone is a network of itself.
    pub(crate) fn parse(text: &str, at: Location) -> Checked<Self> {
        let refuse = |why: &str| {
            Problem::at(
                at,
                format!(
                    "'{}' {why}; write one as '10.0.0.0/8' or '2001:db8::/32'",
                    quoted(text)
                ),
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse("is no network"))?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => bits_max,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= bits_max)
                .ok_or_else(|| refuse(&format!("has no prefix of 0 to {bits_max} bits")))?,
        };
        let network = Self {
            address,
            prefix_bits,
        };
        let first = network.first();
        if first != address {
            let text = format!(
                "'{}' has bits set past its prefix; the network is '{first}/{prefix_bits}'",
                quoted(text)
            );
            return Err(Problem::at(at, text));
        }
        Ok(network)
    }

    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let bits = u32::from(address) & mask32(self.prefix_bits);
                IpAddr::V4(Ipv4Addr::from(bits))
            }
            IpAddr::V6(address) => {
                let bits = u128::from(address) & mask128(self.prefix_bits);
                IpAddr::V6(Ipv6Addr::from(bits))
            }
        }
    }

    /// Whether the address is in it.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (u32::from(network) ^ u32::from(address)) & mask32(self.prefix_bits) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (u128::from(network) ^ u128::from(address)) & mask128(self.prefix_bits) == 0
            }
            _ => false,
        }
    }
}

fn mask32(bits: u8) -> u32 {
    u32::MAX
        .checked_shl(u32::from(32_u8.saturating_sub(bits)))
        .unwrap_or(0)
}

fn mask128(bits: u8) -> u128 {
    u128::MAX
        .checked_shl(u32::from(128_u8.saturating_sub(bits)))
        .unwrap_or(0)
}

/// The address that a text is, without a zone (`%eth0`).
pub(crate) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_networks() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.8", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("fe80::/10", "fe80::1%eth0", true),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
        ];
        for (network, text, expected) in cases {
            let network = Network::parse(network, Location::empty()).unwrap();
            assert_eq!(
                network.has(address(text.as_bytes()).unwrap()),
                expected,
                "{network:?} {text}"
            );
        }
        assert_eq!(address(b"localhost"), None);
        assert_eq!(address(&[0xff]), None);
    }
}
