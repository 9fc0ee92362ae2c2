package org.kvm4j.vmm.cli;

/**
 * Finds what is meant for the VMM in what is typed for the guest: Ctrl-A and a letter, as in QEMU.
 * Ctrl-A and anything else goes to the guest, both keys of it.
 */
final class EscapeKeys {

  /** Ctrl-A. */
  static final int ESCAPE = 0x01;

  /** What the keys are, for the user. */
  static final String HELP =
      """
      Ctrl-A x       end the guest
      Ctrl-A z       suspend kvm4j ('fg' goes on)
      Ctrl-A w       type the window's size for the guest's shell, as an stty command
      Ctrl-A Ctrl-A  send Ctrl-A
      Ctrl-A h       this help
      """;

  /** What keys lead to. */
  interface Actions {
    /** A byte for the guest, 0 to 255. */
    void send(int value);

    /** The user wants to leave. */
    void quit();

    /** The user wants to go to the shell for a while. */
    void suspend();

    /** The guest's shell is to be told the window's size. */
    void sendSize();

    /** The user wants to know the keys. */
    void help();
  }

  private final Actions actions;
  private boolean escaped;

  EscapeKeys(Actions actions) {
    this.actions = actions;
  }

  /** A byte was typed, 0 to 255. */
  void typed(int value) {
    if (!escaped) {
      escaped = value == ESCAPE;
      if (!escaped) {
        actions.send(value);
      }
      return;
    }
    escaped = false;
    switch (value) {
      case 'x':
        actions.quit();
        break;
      case 'z':
        actions.suspend();
        break;
      case 'w':
        actions.sendSize();
        break;
      case 'h':
      case '?':
        actions.help();
        break;
      case ESCAPE:
        actions.send(ESCAPE);
        break;
      default:
        actions.send(ESCAPE);
        actions.send(value);
        break;
    }
  }
}
