package org.kvm4j.cpu.engine;

import java.util.Arrays;

/** Which instructions touch one page without memory again and again. */
final class DeviceSites {
  /** How often an instruction has to. */
  private static final int OFTEN = 8;

  private static final int SITES = 64;

  private final long[] sites = new long[SITES];
  private final long[] touched = new long[SITES];
  private final int[] times = new int[SITES];

  DeviceSites() {
    Arrays.fill(sites, -1);
  }

  /**
   * An instruction has touched what is not mapped.
   *
   * @param site where the instruction is, as a host-physical address
   * @param gpa what it has touched
   * @return whether it has done so often, which is told as often as it comes to that
   */
  boolean isOften(long site, long gpa) {
    int k = (int) (site ^ site >>> 6 ^ site >>> 12) & SITES - 1;
    long page = gpa & -0x1000L;
    if (sites[k] != site || touched[k] != page) {
      sites[k] = site;
      touched[k] = page;
      times[k] = 0;
    }
    if (++times[k] < OFTEN) {
      return false;
    }
    times[k] = 0;
    return true;
  }
}
