package org.kvm4j.vmm.device;

/** A wire that several devices pull: it is up as long as one of them has it up. */
public final class SharedLine {

  private final InterruptLine wire;
  private int up;

  /**
   * @param wire where it leads
   */
  public SharedLine(InterruptLine wire) {
    this.wire = wire;
  }

  /** An end of the wire for one more device. */
  public InterruptLine end() {
    return new InterruptLine() {
      private boolean level;

      @Override
      public void set(boolean wanted) {
        synchronized (SharedLine.this) {
          if (wanted != level) {
            level = wanted;
            change(wanted ? 1 : -1);
          }
        }
      }
    };
  }

  private void change(int by) {
    boolean before = up > 0;
    up += by;
    if (up > 0 != before) {
      wire.set(up > 0);
    }
  }
}
