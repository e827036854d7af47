import { Component, type ReactNode } from "react";

/** Keeps a view that breaks, or whose code cannot be fetched any more, from taking the page with it. */
export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    // After a deployment the old chunks are gone; while the API is away none can be fetched.
    const code = /import|fetch|module|preload/i.test(error.message);
    return (
      <div className="empty" role="alert">
        <strong>{code ? "This view could not be fetched" : "This view broke"}</strong>
        <p>{code ? "The dashboard was updated, or the API was away. A reload brings it." : error.message}</p>
        <button type="button" className="button" onClick={() => location.reload()}>
          Reload
        </button>
      </div>
    );
  }
}
