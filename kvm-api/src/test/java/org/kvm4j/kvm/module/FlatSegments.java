package org.kvm4j.kvm.module;

import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;

/** Segments of 4 GBytes from 0, for protected mode. */
final class FlatSegments {
  private FlatSegments() {}

  /** Sets CS, a 32-bit code segment, and DS, ES and SS. */
  static void set(Sregs sregs) {
    for (Segment s : new Segment[] {sregs.cs, sregs.ds, sregs.es, sregs.ss}) {
      s.base = 0;
      s.limit = 0xffff_ffff;
      s.selector = 16;
      s.type = 3;
      s.present = 1;
      s.s = 1;
      s.g = 1;
      s.db = 1;
    }
    sregs.cs.type = 11;
  }
}
