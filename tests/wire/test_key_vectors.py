"""Tokens, IDSNs and HMACs against public captures, the Linux KUnit vectors, and values recomputed by hand."""

from __future__ import annotations

import ipaddress

import pytest

from testbed.mptcp.keys import add_addr_hmac, join_hmac, token_and_idsn

SSH_A, SSH_B = 0x9C9EABD1E46A33B2, 0x967D2770B6960552
KEY_A, KEY_B = 0x1FDB5DF328BC3DEF, 0x29A6C86981AD933C
NONCE_A, NONCE_B = 0x1B665A18, 0x33ABE9D5


@pytest.mark.parametrize(
    ("key", "sha256", "token", "idsn"),
    [
        (SSH_A, False, 0xAF9706EB, 0x9851B565D52ABEC9),
        (SSH_B, False, 0xE47F0142, 0xE47EF57DD1B9748F),
        (KEY_A, True, 0x239FBDB0, 0xC8072FB90EDAB04D),
        (KEY_B, True, 0xA35D6D82, 0xA28E87FDDD1D30F1),
        (KEY_A, False, 0x7550F54B, 0xECE14C795A35C1D7),
        (KEY_B, False, 0xD97615C1, 0x7DB000F7B7396DD5),
        (0x8F0C7C64A6A32AC1, True, 0x2E1ABDED, 0xEE83A616C38765C4),
        (0x73BB150358A0AECB, True, 0x5F3F5591, 0xA896F3FE7A8DC02D),
        (1, False, 0xCB473678, 0x38F11011007AD27D),
        (1, True, 0xCD266215, 0x19EC509083D00A50),
        (2, False, 0x07AAE1B6, 0xFA1723BEF8656FE4),
        (2, True, 0xCD04A475, 0x886540E5DCE77F70),
        (3, False, 0x461D6580, 0xC945E53831DCDF03),
        (3, True, 0xD5688A52, 0x7F98326D42DFC975),
    ],
)
def test_token_and_idsn(key: int, sha256: bool, token: int, idsn: int) -> None:
    assert token_and_idsn(key, sha256) == (token, idsn)


def test_join_hmacs_of_the_ssh_session() -> None:
    """HMAC-B in full; the SYN/ACK of the capture carries its left 64 bits. HMAC-A is the ACK's 160 bits."""
    assert (
        join_hmac(SSH_B, SSH_A, NONCE_B, NONCE_A, False).hex() == "5ab680c7884af03d5834f6a6f4b59072ea18842f"
    )
    assert (
        join_hmac(SSH_A, SSH_B, NONCE_A, NONCE_B, False).hex() == "cb7b87f5e5f0502f43b535fb70ef6607df2e6c7a"
    )


def test_join_hmacs_with_either_hash() -> None:
    assert join_hmac(KEY_B, KEY_A, NONCE_B, NONCE_A, False)[:8].hex() == "d9bafd447a2eddd8"
    assert join_hmac(KEY_B, KEY_A, NONCE_B, NONCE_A, True)[:8].hex() == "59a2e1363de26049"
    ack = join_hmac(KEY_A, KEY_B, NONCE_A, NONCE_B, False)[:20].hex()
    assert ack == "422f3ca59650fcd0b226822cd525803712ddf400"
    ack = join_hmac(KEY_A, KEY_B, NONCE_A, NONCE_B, True)[:20].hex()
    assert ack == "7e3d7670869320560c88bc4225a07b2c14d255b5"


def test_linux_kunit_hmac_sha256() -> None:
    """Keys and nonces of the vector are ASCII characters taken as bytes."""
    keys, nonces = b"0b0b0b0b0b0b0b0b", b"48692054"
    digest = join_hmac(
        int.from_bytes(keys[:8], "big"),
        int.from_bytes(keys[8:], "big"),
        int.from_bytes(nonces[:4], "big"),
        int.from_bytes(nonces[4:], "big"),
        True,
    )
    assert digest.hex() == "8385e24fb4235ac37556b6b886db106284a1da671699f46db1f235ec622dcafa"


@pytest.mark.parametrize(
    ("address_id", "address", "port", "expected"),
    [
        (1, "192.0.2.7", 0, "ffc536fa586ef765"),
        (1, "192.0.2.7", 8080, "8360aee20df75445"),
        (2, "2001:db8::7", 0, "777d1900e3bc5194"),
    ],
)
def test_add_addr_hmac_is_the_right_end(address_id: int, address: str, port: int, expected: str) -> None:
    packed = ipaddress.ip_address(address).packed
    assert add_addr_hmac(KEY_B, KEY_A, address_id, packed, port).hex() == expected


def test_add_addr_of_an_early_kernel_does_not_conform() -> None:
    """A capture of February 2020 holds the left 64 bits; RFC 8684 §3.4.1 wants the right ones."""
    right = add_addr_hmac(
        0x73BB150358A0AECB, 0x8F0C7C64A6A32AC1, 1, ipaddress.ip_address("192.168.136.225").packed, 0
    )
    assert right.hex() == "e0e054c3444e4c25"
    assert right.hex() != "669928744366716c"
