//! Promises of trust: what is accepted, and that nothing else is.

use proptest::prelude::*;

use super::*;

const MODULE: &[u8] = b"\0asm\x0d\0\x01\0 and more";

fn key(name: &str) -> SecretKey {
    SecretKey::generate(name).expect("a key")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn trust(required: bool, keys: &[(&str, &SecretKey)]) -> Trust {
    let keys = keys
        .iter()
        .map(|(name, key)| ((*name).to_owned(), key.public()));
    Trust {
        required,
        keys: keys.collect(),
    }
}

/// What a trust says of a module with that signature.
fn judge(
    trust: &Trust,
    module: &[u8],
    signature: Option<&[u8]>,
    signed_by: &[&str],
) -> Result<Option<String>, String> {
    let claim = Claim {
        module: "a.wasm",
        digest: &Digest::of(module),
        file: "/g/a.wasm.sig",
        signature,
    };
    trust
        .judge(&claim, &set(signed_by))
        .map_err(|error| error.to_string())
}

/// A trust, a signature, whom the slot wants, and what is judged.
type Case<'a> = (
    &'a Trust,
    Option<&'a str>,
    &'a [&'a str],
    Result<Option<String>, String>,
);

#[test]
fn who_signed_is_told_and_every_refusal_says_which_module_whose_key_and_what_to_do() {
    let (ann, bob, eve) = (key("ann"), key("bob"), key("eve"));
    let (ann_key, eve_key) = (ann.public(), eve.public());
    let digest = Digest::of(MODULE);
    let by = |key: &SecretKey| key.sign(&digest).to_string();
    let (by_ann, by_eve) = (by(&ann), by(&eve));
    let eve_as_ann = by(&key_of(&eve).named("ann").expect("a name"));
    let of_another = ann.sign(&Digest::of(b"another")).to_string();
    // Eve's signature, in which Ann's key stands.
    let forged = eve_as_ann.replace(&eve_key.to_string(), &ann_key.to_string());

    let none = trust(false, &[]);
    let known = trust(false, &[("ann", &ann), ("bob", &bob)]);
    let required = trust(true, &[("ann", &ann), ("bob", &bob)]);
    let keyless = trust(true, &[]);
    let ok = |signer: Option<&str>| Ok(signer.map(str::to_owned));
    let no = |text: String| Err(text);
    let wants = "trust.required wants one by a key of trust.keys (ann, bob)";
    let cases: [Case<'_>; 17] = [
        (&none, None, &[], ok(None)),
        (&none, Some(&by_eve), &[], ok(None)),
        (&known, None, &[], ok(None)),
        (&known, Some(&by_ann), &[], ok(Some("ann"))),
        (&known, Some(&by_eve), &[], ok(None)),
        (&required, Some(&by_ann), &[], ok(Some("ann"))),
        (&required, Some(&by_ann), &["ann"], ok(Some("ann"))),
        (&known, Some(&by_ann), &["bob", "ann"], ok(Some("ann"))),
        (
            &required,
            None,
            &[],
            no(format!("a.wasm has no signature, and {wants}: make one with `weir guest sign`, and put it there as /g/a.wasm.sig")),
        ),
        (
            &keyless,
            None,
            &[],
            no("a.wasm has no signature, and trust.required wants one by a key of trust.keys (there are none yet): make one with `weir guest sign`, and put it there as /g/a.wasm.sig".to_owned()),
        ),
        (
            &known,
            None,
            &["bob"],
            no("a.wasm has no signature, and the slot's signed_by wants one by bob: make one with `weir guest sign`, and put it there as /g/a.wasm.sig".to_owned()),
        ),
        (
            &required,
            Some(&by_eve),
            &[],
            no(format!("a.wasm is signed by eve, whose key {eve_key} isn't known here, and {wants}: have it signed by one of these, or add the key to trust.keys")),
        ),
        (
            &known,
            Some(&eve_as_ann),
            &[],
            no(format!("a.wasm is signed by ann with the key {eve_key}, and trust.keys.ann.ed25519 is {ann_key}: have it signed anew, or correct the key")),
        ),
        (
            &known,
            Some(&forged),
            &[],
            no(format!("a.wasm isn't what ann signed: its SHA-256 is {digest}, and the signature in /g/a.wasm.sig is of something else; fetch both anew, or have it signed anew")),
        ),
        (
            &known,
            Some(&of_another),
            &[],
            no(format!("a.wasm isn't what ann signed: its SHA-256 is {digest}, and the signature in /g/a.wasm.sig is of something else; fetch both anew, or have it signed anew")),
        ),
        (
            &known,
            Some(&by_ann),
            &["bob"],
            no("a.wasm is signed by ann, and the slot's signed_by wants bob: have it signed by one of these, or change signed_by".to_owned()),
        ),
        (
            &known,
            Some(""),
            &[],
            no("/g/a.wasm.sig is no signature of a module: it isn't the one line `weir-signature-v1 ed25519 NAME PUBLIC-KEY SIGNATURE`; make it with `weir guest sign`".to_owned()),
        ),
    ];
    for (trust, signature, signed_by, expected) in cases {
        let found = judge(trust, MODULE, signature.map(str::as_bytes), signed_by);
        assert_eq!(found, expected, "{trust:?} {signature:?} {signed_by:?}");
    }
}

/// The same key once more.
fn key_of(key: &SecretKey) -> SecretKey {
    SecretKey::parse(&key.to_secret_text()).expect("a key's own text")
}

#[test]
fn where_nothing_is_configured_no_signature_is_looked_at() {
    let ann = key("ann");
    assert!(!trust(false, &[]).asks(&set(&[])));
    assert!(trust(true, &[]).asks(&set(&[])));
    assert!(trust(false, &[("ann", &ann)]).asks(&set(&[])));
    assert!(trust(false, &[]).asks(&set(&["ann"])));
}

#[test]
fn a_signature_has_exactly_one_text() {
    let signed = key("ann").sign(&Digest::of(MODULE));
    let text = signed.to_string();
    assert_eq!(Signature::parse(text.as_bytes()), Ok(signed));
    let line = text.trim_end();
    for other in [
        line.to_owned(),
        format!("{line}\r\n"),
        format!("{text}\n"),
        format!(" {text}"),
        format!("{text}{text}"),
        line.replace(' ', "  ") + "\n",
        line.to_uppercase() + "\n",
        text.replace("-v1 ", "-v2 "),
        text.replace(" ann ", " a.n "),
        text.replace(" ann ", " "),
    ] {
        let found = Signature::parse(other.as_bytes());
        assert_eq!(found, Err(SignatureError::Malformed), "{other:?}");
    }
    let large = text.replace("ann", &"a".repeat(SIGNATURE_BYTES_MAX));
    let found = Signature::parse(large.as_bytes());
    assert_eq!(found, Err(SignatureError::TooLarge));
    // The longest that there is fits.
    let longest = key(&"n".repeat(64)).sign(&Digest::of(MODULE)).to_string();
    assert!(Signature::parse(longest.as_bytes()).is_ok());
}

#[test]
fn what_is_signed_is_the_digest_in_our_own_domain() {
    // RFC 8032, 7.1, test 1: the key whose secret half is 9d61…
    let text = "weir-secret-key-v1 ed25519 rfc 9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n";
    let key = SecretKey::parse(text).expect("a key");
    assert_eq!(
        key.public().to_string(),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    assert_eq!(key.to_secret_text(), text);
    let digest = Digest::of(b"");
    let signed = signature::message(&digest);
    assert_eq!(&signed[..21], b"weir guest module v1\n");
    assert_eq!(&signed[21..], digest.0);
    assert!(!format!("{key:?}").contains("9d61b19d"), "{key:?}");
}

#[test]
fn keys_that_are_none_or_weak_are_refused() {
    for (text, expected) in [
        ("", KeyError::Digits),
        ("d75a98", KeyError::Digits),
        (&"zz".repeat(32), KeyError::Digits),
        // No point of the curve has this y.
        (&format!("02{}", "00".repeat(31)), KeyError::NoKey),
        // The neutral element: "signatures" of it fit any message.
        (&format!("01{}", "00".repeat(31)), KeyError::Weak),
        (&"00".repeat(32), KeyError::Weak),
    ] {
        assert_eq!(text.parse::<PublicKey>(), Err(expected), "{text}");
    }
    for text in ["", "weir-secret-key-v1 ed25519 a 00", "ssh-ed25519 AAAA a"] {
        let found = SecretKey::parse(text).map(|key| key.public());
        assert_eq!(found, Err(SecretKeyError::Malformed), "{text}");
    }
    assert!(SecretKey::generate("a b").is_err());
}

proptest! {
    #[test]
    fn any_changed_byte_of_module_signature_or_key_refuses(
        bytes in proptest::collection::vec(any::<u8>(), 1..200),
        seed in any::<[u8; 32]>(),
        what in 0_usize..3,
        place in any::<proptest::sample::Index>(),
        flip in 1_u8..,
    ) {
        let text = format!("weir-secret-key-v1 ed25519 ann {}", crate::hex::Hex(&seed));
        let ann = SecretKey::parse(&text).expect("a key");
        let signature = ann.sign(&Digest::of(&bytes)).to_string().into_bytes();
        let known = trust(true, &[("ann", &ann)]);
        let found = judge(&known, &bytes, Some(&signature), &[]);
        prop_assert_eq!(found, Ok(Some("ann".to_owned())));

        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= flip;
            bytes
        };
        let refused = match what {
            0 => judge(&known, &flipped(&bytes), Some(&signature), &[]),
            1 => judge(&known, &bytes, Some(&flipped(&signature)), &[]),
            _ => {
                let key = flipped(&ann.public().0);
                // Most such bytes are no key at all, and then there is no such config.
                let Ok(key) = crate::hex::Hex(&key).to_string().parse() else {
                    return Ok(());
                };
                let keys = [("ann".to_owned(), key)].into();
                judge(&Trust { required: true, keys }, &bytes, Some(&signature), &[])
            }
        };
        prop_assert!(refused.is_err(), "{:?}", refused);
    }
}
