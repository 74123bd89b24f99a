"""What can be saved of a damaged recording, as a plan."""

from __future__ import annotations

from dataclasses import replace

from df_policy.data.compose import whole
from df_policy.data.edit import Plan
from df_policy.data.schema import SCHEMA_VERSION
from df_policy.data.verify import Proof
from df_policy.errors import DfPolicyError


def plan(proof: Proof, *, drop_broken: bool) -> Plan:
    """All whole episodes; what is not proven of their labels stays as it can be read.

    Args:
        proof: of the recording.
        drop_broken: leave out broken episodes wherever they are; else only those at the end.

    Raises:
        DfPolicyError: if nothing can be saved, or a broken episode has whole ones after it.
    """
    store = proof.store
    if store is None:
        what = "; ".join(map(str, proof.findings))
        raise DfPolicyError(
            f"expected a store that opens, got one that does not ({what}): of this, nothing can "
            "be repaired; copy it again from where it came"
        )
    kept = [piece for piece in whole(store, mend=True) if piece.episode not in proof.broken]
    if not kept:
        raise DfPolicyError(f"expected a whole episode in {store.path}, got none")
    last = kept[-1].episode
    middle = [number for number in proof.broken if number < last]
    if middle and not drop_broken:
        raise DfPolicyError(
            f"expected whole episodes up to {last}, got broken ones among them "
            f"({', '.join(map(str, middle))}): --drop-broken leaves those out, and nothing else"
        )
    says = [f"cut episode {n} ({store.lengths[n]} frames): broken" for n in proof.broken]
    says += [f"mend {finding}" for finding in proof.findings if not finding.frames]
    says += [f"leave out {note}" for note in proof.notes if "checksums" not in note]
    return Plan(replace(store.header, version=SCHEMA_VERSION), tuple(kept), tuple(says))
